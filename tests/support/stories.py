"""stories260K: llama2.c's first checkpoint format, its tokenizer, and the GGUF file that means the
same model.
"""

import struct
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from support.float_llama import LlamaWeights
from support.gguf_file import F32, GROUP, I32, STRING, GgufFile, Tensor, quantize_q8_0

EPSILON = 1e-5  # Constants of llama2.c, not in its file.
ROPE_BASE = 10000.0
BOS, EOS = 1, 2
_TOKEN_UNKNOWN, _TOKEN_CONTROL, _TOKEN_NORMAL, _TOKEN_BYTE = 2, 3, 1, 6


@dataclass
class Checkpoint:
    dim: int
    hidden: int
    layers: int
    heads: int
    kv_heads: int
    vocab: int
    length: int
    tied: bool
    arrays: dict  # name: [layers, ...] or [...]


def read_checkpoint(path):
    """The seven int32 of the header, then float32 arrays, all layers of one kind together. A
    negative vocabulary size says that the head is not the embedding.
    """
    raw = Path(path).read_bytes()
    dim, hidden, layers, heads, kv_heads, vocab, length = struct.unpack_from("<7i", raw)
    tied, vocab = vocab > 0, abs(vocab)
    kv = dim // heads * kv_heads
    shapes = [
        ("token_embd", (vocab, dim)),
        ("attn_norm", (layers, dim)),
        ("attn_q", (layers, dim, dim)),
        ("attn_k", (layers, kv, dim)),
        ("attn_v", (layers, kv, dim)),
        ("attn_output", (layers, dim, dim)),
        ("ffn_norm", (layers, dim)),
        ("ffn_gate", (layers, hidden, dim)),
        ("ffn_down", (layers, dim, hidden)),
        ("ffn_up", (layers, hidden, dim)),
        ("output_norm", (dim,)),
        ("rope_tables", (2, length, dim // heads // 2)),  # Not used: they follow from the base.
    ]
    if not tied:
        shapes.append(("output", (vocab, dim)))
    arrays, at = {}, 28
    for name, shape in shapes:
        count = int(np.prod(shape))
        arrays[name] = np.frombuffer(raw, "<f4", count, at).reshape(shape).copy()
        at += 4 * count
    if at != len(raw):
        raise ValueError(f"{path}: {len(raw)} bytes, expected {at}")
    return Checkpoint(dim, hidden, layers, heads, kv_heads, vocab, length, tied, arrays)


def read_tokenizer(path, vocab):
    """(pieces as bytes, scores)."""
    raw = Path(path).read_bytes()
    at, pieces, scores = 4, [], []
    for _ in range(vocab):
        score, size = struct.unpack_from("<fi", raw, at)
        pieces.append(raw[at + 8 : at + 8 + size])
        scores.append(score)
        at += 8 + size
    if at != len(raw):
        raise ValueError(f"{path}: {len(raw) - at} bytes left over")
    return pieces, scores


def to_gguf(checkpoint, pieces, scores):
    """The same model as GGUF: F32 tensors; llama2.c's rotary pairs already stand side by side, as
    in GGUF's `llama`.
    """
    c = checkpoint
    metadata = {
        "general.architecture": "llama",
        "general.name": "stories260K",
        "llama.block_count": c.layers,
        "llama.context_length": c.length,
        "llama.embedding_length": c.dim,
        "llama.feed_forward_length": c.hidden,
        "llama.attention.head_count": c.heads,
        "llama.attention.head_count_kv": c.kv_heads,
        "llama.attention.layer_norm_rms_epsilon": EPSILON,
        "llama.rope.freq_base": ROPE_BASE,
        "llama.rope.dimension_count": c.dim // c.heads,
        "llama.vocab_size": c.vocab,
        "tokenizer.ggml.model": "llama",
        "tokenizer.ggml.tokens": (STRING, [_gguf_piece(i, p) for i, p in enumerate(pieces)]),
        "tokenizer.ggml.scores": (F32, scores),
        "tokenizer.ggml.token_type": (I32, [_token_type(i) for i in range(len(pieces))]),
        "tokenizer.ggml.bos_token_id": BOS,
        "tokenizer.ggml.eos_token_id": EOS,
        "tokenizer.ggml.unknown_token_id": 0,
        "tokenizer.ggml.add_bos_token": True,
    }
    tensors = {}
    for name, array in c.arrays.items():
        if name == "rope_tables":
            continue
        if name in ("token_embd", "output_norm", "output"):
            tensors[name + ".weight"] = _f32(array)
            continue
        for n in range(c.layers):
            tensors[f"blk.{n}.{name}.weight"] = _f32(array[n])
    return GgufFile(metadata, tensors)


def _f32(array):
    return Tensor("F32", array.shape, array.astype("<f4").tobytes())


def _token_type(index):
    return {0: _TOKEN_UNKNOWN, 1: _TOKEN_CONTROL, 2: _TOKEN_CONTROL}.get(
        index, _TOKEN_BYTE if index < 259 else _TOKEN_NORMAL
    )


def _gguf_piece(index, piece):
    """llama2.c writes `<s>` and `</s>` with line feeds around them and a space for SentencePiece's
    U+2581.
    """
    if index < 3:
        return ("<unk>", "<s>", "</s>")[index]
    if index < 259:
        return f"<0x{index - 3:02X}>"
    return piece.decode().replace(" ", "\u2581")


def encode(pieces, scores, text):
    """Ids of BOS and `text` with SentencePiece's leading space: merge the best-scored pair until
    none is left.
    """
    index = {p: i for i, p in enumerate(pieces)}
    ids = []
    for char in " " + text:
        raw = char.encode()
        ids += [index[raw]] if raw in index else [b + 3 for b in raw]
    while True:
        merges = [
            (scores[index[m]], -i, index[m])
            for i in range(len(ids) - 1)
            if (m := pieces[ids[i]] + pieces[ids[i + 1]]) in index
        ]
        if not merges:
            return [BOS] + ids
        _, at, merged = max(merges)
        ids[-at : -at + 2] = [merged]


def decode(pieces, ids):
    """The text of ids that follow BOS (whose first space is dropped)."""
    raw = b"".join(bytes([i - 3]) if 3 <= i < 259 else pieces[i] for i in ids)
    text = raw.decode(errors="replace")
    return text.removeprefix(" ")


def rounded_weights(checkpoint):
    """The float32 weights after the importer's rounding: matrices through `q8_0`, norms as they
    are.
    """
    c, a = checkpoint, checkpoint.arrays
    embedding = _rounded(a["token_embd"])
    names = {
        "q": "attn_q",
        "k": "attn_k",
        "v": "attn_v",
        "o": "attn_output",
        "gate": "ffn_gate",
        "up": "ffn_up",
        "down": "ffn_down",
    }
    layers = [
        {
            "attn_norm": a["attn_norm"][n],
            "ffn_norm": a["ffn_norm"][n],
            **{ours: _rounded(a[theirs][n]) for ours, theirs in names.items()},
        }
        for n in range(c.layers)
    ]
    return LlamaWeights(
        heads=c.heads,
        kv_heads=c.kv_heads,
        head_size=c.dim // c.heads,
        rope_base=ROPE_BASE,
        epsilon=EPSILON,
        embedding=embedding,
        head=embedding if c.tied else _rounded(a["output"]),
        output_norm=a["output_norm"],
        layers=layers,
    )


def _rounded(matrix):
    codes, scale = quantize_q8_0(matrix)
    values = codes.reshape(len(codes), -1, GROUP).astype(np.float32) * scale[..., None]
    return np.ascontiguousarray(values.reshape(len(codes), -1)[:, : matrix.shape[1]])
