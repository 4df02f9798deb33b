"""The identifiers of chain.md, a second time."""

import hashlib
import struct

from Crypto.Hash import keccak as _keccak

from support.gguf_file import stored_rows


def keccak(data):
    return _keccak.new(digest_bits=256, data=data).digest()


def word(value):
    """A 32-byte word: bytes are a word already, a float enters as its binary32 bits, an integer
    big-endian.
    """
    if isinstance(value, bytes):
        return value
    if isinstance(value, float):
        value = struct.unpack("<I", struct.pack("<f", value))[0]
    return int(value).to_bytes(32, "big")


def tagged(tag, *fields):
    return keccak(keccak(f"lockstep.{tag}.v1".encode()) + b"".join(word(f) for f in fields))


def ordered_root(leaves):
    width = 1
    while width < len(leaves):
        width *= 2
    level = list(leaves) + [bytes(32)] * (width - len(leaves))
    while len(level) > 1:
        level = [tagged("node", a, b) for a, b in zip(level[::2], level[1::2])]
    return tagged("tree", len(leaves), level[0])


def weights_root(gguf):
    """Over the rows of all tensors, by name; a tied head stands in the file once."""
    leaves = []
    for name in sorted(gguf.tensors, key=str.encode):
        of = keccak(name.encode())
        rows = stored_rows(gguf.tensors[name])
        leaves += [tagged("row", of, i, keccak(row)) for i, row in enumerate(rows)]
    return ordered_root(leaves)


def logits_digest(logits_bytes):
    runs = [logits_bytes[i : i + 4096] for i in range(0, len(logits_bytes), 4096)]
    return hashlib.sha256(b"".join(hashlib.sha256(r).digest() for r in runs)).digest()


def output_hash(token_ids, finish_reason):
    """`finish_reason` is "stop" or "length"."""
    ids = b"".join(struct.pack("<I", t) for t in token_ids)
    return tagged("output", keccak(ids), len(token_ids), {"stop": 0, "length": 1}[finish_reason])


def trace_root(prompt_ids, token_ids, digests):
    """`digests`: one a completion token, 32 bytes each; None for a trace of tokens alone."""
    inputs = [prompt_ids[-1]] + list(token_ids[:-1])
    digests = digests or [bytes(32)] * len(token_ids)
    return ordered_root(
        [
            tagged("step", len(prompt_ids) - 1 + i, given, digest, chosen)
            for i, (given, digest, chosen) in enumerate(zip(inputs, digests, token_ids))
        ]
    )


def sampling_hash(sampling, max_tokens, context_limit, stop=(), ignore_eos=False, trace="logits"):
    stop_hash = keccak(b"".join(keccak(s.encode()) for s in stop))
    bias = b"".join(struct.pack("<If", t, b) for t, b in sorted(sampling.logit_bias.items()))
    return tagged(
        "sampling",
        float(sampling.temperature),
        sampling.top_k,
        float(sampling.top_p),
        float(sampling.min_p),
        float(sampling.repetition_penalty),
        float(sampling.frequency_penalty),
        float(sampling.presence_penalty),
        sampling.seed,
        max_tokens,
        stop_hash,
        keccak(bias) if bias else bytes(32),
        int(ignore_eos),
        context_limit,
        sampling.choice_index,
        {"tokens": 0, "logits": 1}[trace],
    )


def prompt_hash(prompt_ids, salt=bytes(32)):
    leaves = [
        tagged("token", i, token, keccak(salt + word(i))) for i, token in enumerate(prompt_ids)
    ]
    return tagged("prompt", ordered_root(leaves), len(prompt_ids))


def spec_hash(model_id, sampling, prompt, prompt_tokens, max_tokens):
    """Off chain: prices, deadline and provider are 0."""
    return tagged("spec", model_id, sampling, prompt, prompt_tokens, max_tokens, 0, 0, 0, 0)


def job_id(contract=bytes(32), client_nonce=0, tenant="local"):
    """Off chain: chain id 0; without a ledger contract and nonce are 0."""
    return tagged("job", 0, contract, keccak(tenant.encode()), client_nonce)


def result_hash(job, spec, output, trace, attempt=1):
    return tagged("result", job, attempt, spec, output, trace)
