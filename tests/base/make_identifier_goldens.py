"""Prints tests/base/identifier_goldens.h: the identifiers of the chain design for fixed arguments.

Written from the design page alone, with PyCryptodome; it shares nothing with base/. Run it with the tests' Python:
build/venv/bin/python tests/base/make_identifier_goldens.py > tests/base/identifier_goldens.h
"""
import hashlib
import struct

from Crypto.Hash import keccak as _keccak


def keccak(data):
    return _keccak.new(digest_bits=256, data=data).digest()


def word(field):
    return field if isinstance(field, bytes) else int(field).to_bytes(32, "big")


def bits(number):
    return struct.unpack("<I", struct.pack("<f", number))[0]


def u32s(values):
    return b"".join(struct.pack("<I", value) for value in values)


def tagged(tag, *fields):
    return keccak(keccak(f"lockstep.{tag}.v1".encode()) + b"".join(map(word, fields)))


def tree(leaves):
    level = list(leaves)
    while len(level) & (len(level) - 1):
        level.append(bytes(32))
    while len(level) > 1:
        level = [tagged("node", a, b) for a, b in zip(level[::2], level[1::2])]
    return tagged("tree", len(leaves), level[0] if level else 0)


def sampling(temperature=0.0, top_k=0, top_p=1.0, min_p=0.0, repetition=1.0, frequency=0.0, presence=0.0, seed=0,
             max_tokens=256, stop=(), bias=(), ignore_eos=False, context_limit=0, choice=0, trace=1):
    stop_hash = keccak(b"".join(keccak(text.encode()) for text in stop))
    bias_hash = keccak(b"".join(struct.pack("<If", i, x) for i, x in sorted(bias))) if bias else 0
    return tagged("sampling", bits(temperature), top_k, bits(top_p), bits(min_p), bits(repetition), bits(frequency),
                  bits(presence), seed, max_tokens, stop_hash, bias_hash, ignore_eos, context_limit, choice, trace)


def prompt(ids, salt):
    leaves = [tagged("token", i, token, keccak(salt + word(i))) for i, token in enumerate(ids)]
    return tagged("prompt", tree(leaves), len(ids))


def logits(values):
    data = struct.pack(f"<{len(values)}f", *values)
    runs = [hashlib.sha256(data[i : i + 4096]).digest() for i in range(0, len(data), 4096)]
    return hashlib.sha256(b"".join(runs)).digest()


def leaf(i):
    return keccak(f"leaf-{i}".encode())


name = lambda text: keccak(text.encode())
step = lambda i: tagged("step", 10 + i, 100 + i, name(f"logits-{i}"), 200 + i)
GOLDENS = {
    "Tagged": tagged("row", name("w"), 7, 2**64 - 1, bits(-0.5)),
    "Tree0": tree([]),
    "Tree1": tree([leaf(0)]),
    "Tree2": tree([leaf(i) for i in range(2)]),
    "Tree3": tree([leaf(i) for i in range(3)]),
    "Tree8": tree([leaf(i) for i in range(8)]),
    "Tree9": tree([leaf(i) for i in range(9)]),
    "SamplingDefault": sampling(),
    "SamplingAll": sampling(0.75, 40, 0.9, 0.05, 1.25, 0.5, -0.5, 2**64 - 2, 4096, ("\n\n", "né"),
                            ((7, -1.5), (11, 2.0)), True, 8192, 3, 0),
    "Prompt0": prompt([], bytes(32)),
    "Prompt3": prompt([1, 49151, 2], name("salt")),
    "Spec": tagged("spec", name("model"), name("sampling"), name("prompt"), 3, 256, 5, 6, 1700000000, name("provider")),
    "Job": tagged("job", 1, name("contract"), name("local"), 9),
    "JobLocal": tagged("job", 0, 0, name("local"), 0),
    "Output0": tagged("output", keccak(b""), 0, 0),
    "Output3": tagged("output", keccak(u32s([5, 6, 70000])), 3, 1),
    "Logits1": logits([1.0]),
    "Logits1024": logits([float(i) for i in range(1024)]),
    "Logits1025": logits([float(i) for i in range(1025)]),
    "Logits3000": logits([float(i) for i in range(3000)]),
    "Trace0": tree([]),
    "Trace1": tree([step(0)]),
    "Trace5": tree([step(i) for i in range(5)]),
    "Result": tagged("result", name("job"), 1, name("spec"), name("output"), name("trace")),
}

print("// Written by tests/base/make_identifier_goldens.py, an independent implementation of the chain design.")
print("#pragma once\n\nnamespace lockstep::golden {\n")
for key, value in GOLDENS.items():
    print(f"inline constexpr char k{key}[] =\n    \"{value.hex()}\";")
print("\n}  // namespace lockstep::golden")
