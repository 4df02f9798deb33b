"""Exact binary32 arithmetic of numerics.md in NumPy: fused multiply-add, the page's exponential,
Philox.
"""

import numpy as np

F = np.float32

_POLYNOMIAL = [
    F(float.fromhex(c))
    for c in ("0x1.6c16c2p-10", "0x1.111112p-7", "0x1.555556p-5", "0x1.555556p-3", "0x1p-1")
]


def fma(a, b, c):
    """a * b + c with one rounding: the product is exact in binary64, the sum is rounded to odd
    there, then to binary32.
    """
    product = np.multiply(a, b, dtype=np.float64)
    addend = np.asarray(c, np.float64)
    total = product + addend
    seen = total - product
    lost = (product - (total - seen)) + (addend - seen)
    bits = np.atleast_1d(total).view(np.int64)
    lost = np.broadcast_to(lost, bits.shape)
    # An inexact sum with an even last bit moves one step towards what was lost; away from or
    # towards zero by its sign.
    step = np.where((lost > 0) == (bits >= 0), 1, -1)
    odd = np.where((lost != 0) & (bits & 1 == 0), bits + step, bits).view(np.float64)
    return odd.astype(F).reshape(np.shape(total))


def exp(x):
    x = np.asarray(x, F)
    inside = np.clip(x, F(-104), F(88.8))
    n = np.rint(inside * F(float.fromhex("0x1.715476p+0")))
    r = fma(n, F(float.fromhex("-0x1.62e4p-1")), inside)
    r = fma(n, F(float.fromhex("-0x1.7f7d1cp-20")), r)
    q = np.full_like(r, F(float.fromhex("0x1.a01a02p-13")))
    for coefficient in _POLYNOMIAL:
        q = fma(q, r, coefficient)
    p = fma(r * r, q, r) + F(1)
    half = np.floor(n / 2)
    with np.errstate(over="ignore"):
        value = (p * np.exp2(half).astype(F)) * np.exp2(n - half).astype(F)
    value = np.where(x > F(88.8), F(np.inf), value)
    return np.where(x < F(-104), F(0), value).astype(F)


def philox4x32_10(key, counter):
    """Philox of Salmon et al. 2011 on (two, four) 32-bit words."""
    mask = 0xFFFFFFFF
    (k0, k1), (x0, x1, x2, x3) = key, counter
    for _ in range(10):
        low, high = 0xD2511F53 * x0, 0xCD9E8D57 * x2
        x0, x1, x2, x3 = (high >> 32) ^ x1 ^ k0, high & mask, (low >> 32) ^ x3 ^ k1, low & mask
        k0, k1 = (k0 + 0x9E3779B9) & mask, (k1 + 0xBB67AE85) & mask
    return x0, x1, x2, x3
