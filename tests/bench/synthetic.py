"""synthetic.py TOKENIZER.gguf OUT.gguf q4_0|q4_1: a model of a 1B one's shape with random weights, for speed alone.

16 layers, 2048 wide, 8192 between, 32 heads over 8, vocabulary 49,152; seeded, so that everyone has the same file. The
tokenizer is that of another file with as many tokens.
"""
import sys
from pathlib import Path

import gguf
import numpy as np

LAYERS, DIM, FFN, HEADS, KV_HEADS, VOCAB, CONTEXT = 16, 2048, 8192, 32, 8, 49152, 4096
GROUP = 32
SEED = 20261121


def blocks(random, rows, k, quant):
    """Rows of random blocks in GGUF's bytes: codes of any value, scales for weights of a spread of 0.02."""
    count = rows * k // GROUP
    scales = random.uniform(0.003, 0.006, count).astype("<f2")
    parts = [scales] if quant == "q4_0" else [scales, (scales * np.float16(-7.5)).astype("<f2")]
    heads = [part.view(np.uint8).reshape(count, 2) for part in parts]
    codes = random.integers(0, 256, (count, GROUP // 2), dtype=np.uint8)
    return np.concatenate([*heads, codes], axis=1).reshape(rows, -1)


def matrices():
    """(name, rows, k) in the file's order."""
    kv = KV_HEADS * (DIM // HEADS)
    yield "token_embd", VOCAB, DIM
    for layer in range(LAYERS):
        for name, rows, k in (("attn_q", DIM, DIM), ("attn_k", kv, DIM), ("attn_v", kv, DIM), ("attn_output", DIM, DIM),
                              ("ffn_gate", FFN, DIM), ("ffn_up", FFN, DIM), ("ffn_down", DIM, FFN)):
            yield f"blk.{layer}.{name}", rows, k


def copy_tokenizer(source, writer):
    for name, field in gguf.GGUFReader(source).fields.items():
        if not name.startswith("tokenizer."):
            continue
        kind, *of = field.types
        writer.add_key_value(name, field.contents(), kind, sub_type=of[0] if of else None)


def write(tokenizer, out, quant):
    kind = gguf.GGMLQuantizationType[quant.upper()]
    writer = gguf.GGUFWriter(out, "llama")
    writer.add_name("synthetic-1b-" + quant)
    writer.add_block_count(LAYERS)
    writer.add_context_length(CONTEXT)
    writer.add_embedding_length(DIM)
    writer.add_feed_forward_length(FFN)
    writer.add_head_count(HEADS)
    writer.add_head_count_kv(KV_HEADS)
    writer.add_rope_dimension_count(DIM // HEADS)
    writer.add_rope_freq_base(10000.0)
    writer.add_layer_norm_rms_eps(1e-5)
    writer.add_vocab_size(VOCAB)
    copy_tokenizer(tokenizer, writer)
    random = np.random.default_rng(SEED)
    ones = np.ones(DIM, np.float32)
    norms = ["output_norm"] + [f"blk.{n}.{name}" for n in range(LAYERS) for name in ("attn_norm", "ffn_norm")]
    for name in norms:
        writer.add_tensor(name + ".weight", ones)
    for name, rows, k in matrices():
        writer.add_tensor(name + ".weight", blocks(random, rows, k, quant), raw_dtype=kind)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def ensure(tokenizer, out, quant):
    """The file, made when it is missing; it appears under its name when it is whole."""
    if not out.exists():
        print(f"Making {out.name}", flush=True)
        part = out.with_suffix(".part")
        write(tokenizer, part, quant)
        part.rename(out)
    return out


if __name__ == "__main__":
    write(Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3])
