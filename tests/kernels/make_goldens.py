"""make_goldens.py ORACLE.py > golden_values.h: what an independent implementation says of the operations.

ORACLE is a Python implementation of the numerics design (needs numpy, gguf, pycryptodome). The inputs come from
SplitMix64 as in kernel_support.h; the cases are those of golden_test.cc. Each line is a case, the FNV-1a digest of the
bytes of its results, and the first four words of them.
"""
import importlib.util
import sys
from types import SimpleNamespace

import numpy as np

spec = importlib.util.spec_from_file_location("oracle", sys.argv[1])
oracle = importlib.util.module_from_spec(spec)
spec.loader.exec_module(oracle)
F = np.float32
MASK = (1 << 64) - 1


class SplitMix:
    def __init__(self, seed):
        self.state = seed

    def next(self):
        self.state = (self.state + 0x9E3779B97F4A7C15) & MASK
        z = self.state
        z = ((z ^ (z >> 30)) * 0xBF58476D1CE4E5B9) & MASK
        z = ((z ^ (z >> 27)) * 0x94D049BB133111EB) & MASK
        return z ^ (z >> 31)

    def value(self):
        u = self.next()
        return F((u >> 40) - (1 << 23)) * F(2.0 ** (int(u & 7) - 25))

    def values(self, *shape):
        return np.array([self.value() for _ in range(int(np.prod(shape)))], F).reshape(shape)

    def half_bits(self):
        u = self.next()
        sign = (u >> 63) << 15
        return sign | (u & 0x3FF if u % 16 == 0 else 0x0800 + (u >> 8) % 0x1800)


def emit(name, *arrays):
    data = b"".join(np.ascontiguousarray(a).tobytes() for a in arrays)
    digest = 0xCBF29CE484222325
    for byte in data:
        digest = ((digest ^ byte) * 0x100000001B3) & MASK
    words = np.frombuffer(data.ljust(16, b"\0")[:16], "<u4")
    print(f'    {{"{name}", 0x{digest:016x}, {{{", ".join(f"0x{w:08x}" for w in words)}}}}},')


def matrix(random, name, rows, k, segment_groups):
    blocks = bytearray()
    for _ in range(rows * (k // 32)):
        blocks += random.half_bits().to_bytes(2, "little")
        if name == "q4_1":
            blocks += random.half_bits().to_bytes(2, "little")
        codes = [random.next() >> 56 for _ in range(32)]
        if name == "q8_0":
            blocks += bytes(codes)
        else:
            blocks += bytes((codes[i] & 15) | ((codes[16 + i] & 15) << 4) for i in range(16))
    tensor = SimpleNamespace(tensor_type=SimpleNamespace(name=name.upper()), shape=(k, rows),
                             data=np.frombuffer(bytes(blocks), np.uint8))
    run = segment_groups * 32
    return oracle.Matrix(tensor, [(i, min(i + run, k)) for i in range(0, k, run)])


def exps():
    x = np.array([F(-112) + F(i) * F(0.0625) + SplitMix(i).value() * F(2.0**-8) for i in range(3300)], F)
    emit("exp", oracle.exp(x))
    emit("exp grid", oracle.exp(F(-112) + np.arange(0, 400000, dtype=F) * F(2.0**-11)))


def norms():
    for dim in (1, 63, 64, 65, 576, 1000):
        random = SplitMix(dim)
        x, w = random.values(3, dim), random.values(dim)
        emit(f"rms_norm {dim}", oracle.Model.norm(SimpleNamespace(eps=F(1e-5)), x, w))


def linears():
    for name in ("q4_0", "q4_1", "q8_0"):
        for bits in (16, 8):
            for rows, k, tokens, segment in ((1, 32, 1, 32), (37, 320, 3, 32), (20, 2080, 2, 32), (16, 576, 5, 5)):
                random = SplitMix(rows + 1000 * k)
                w = matrix(random, name, rows, k, segment)
                x = random.values(tokens, k)
                emit(f"linear {name} {bits} {rows} {k} {tokens} {segment}", w(x, bits))
                if bits == 16:
                    emit(f"embed {name} {rows} {k}", w.row_values([0, rows - 1]))


def ropes():
    random = SplitMix(7)
    x, c, s = random.values(3, 2, 20), random.values(3, 8)[:, None], random.values(3, 8)[:, None]
    y = x.copy()
    a, b = x[..., 0:16:2], x[..., 1:16:2]
    y[..., 0:16:2] = oracle.fma(a, c, -(b * s))
    y[..., 1:16:2] = oracle.fma(a, s, b * c)
    emit("rope", y)


def attentions():
    for bits in (16, 8):
        limit, code = (2047, "<i2") if bits == 16 else (127, "<i1")
        for size, heads, kv_heads, position in ((64, 9, 3, 0), (64, 9, 3, 299), (48, 4, 4, 127), (80, 4, 2, 128),
                                                (1, 2, 1, 63), (512, 2, 1, 260), (34, 8, 1, 15)):
            random = SplitMix(size + 1000 * position)
            shape = (position + 1, kv_heads, size)
            k, v, q = random.values(*shape), random.values(*shape), random.values(1, heads, size)
            if bits == 8:
                k, _ = oracle.hadamard(k)
            kq, sk = oracle.quantize(k, limit)
            vq, sv = oracle.quantize(v, limit)
            name = f"{bits} {size} {heads} {kv_heads} {position}"
            emit(f"append_kv {name}", kq.astype(code), vq.astype(code), sk, sv)
            model = SimpleNamespace(head_size=size, heads=heads, kv_heads=kv_heads)
            cache = [(kq, sk, vq, sv)]
            emit(f"attention {name}", oracle.Model.attention(model, q, cache, np.array([position]), bits))


def quantizes():
    for limit in (32639, 127):
        x = SplitMix(limit).values(4, 128)
        x[1] = 0
        x[2] *= F(2.0**-100)
        x[3] *= F(2.0**-90)
        codes, scales = oracle.quantize(x if limit == 32639 else x.reshape(16, 32), limit)
        emit(f"quantize {limit}", codes.astype("<i4"), scales)


def swiglus():
    random = SplitMix(9)
    g, u = random.values(2, 48) * F(8), random.values(2, 48)
    with np.errstate(over="ignore"):
        emit("swiglu", (g / (F(1) + oracle.exp(-g))) * u)


print("// Written by make_goldens.py; not edited by hand.\n#pragma once\n\n#include <cstdint>\n")
print("namespace lockstep::kernels {\n")
print("struct Golden {\n  const char* name;\n  std::uint64_t digest;\n  std::uint32_t first[4];\n};\n")
print("inline constexpr Golden kGoldens[] = {")
for cases in (exps, norms, quantizes, linears, ropes, attentions, swiglus):
    cases()
print("};\n\n}  // namespace lockstep::kernels")
