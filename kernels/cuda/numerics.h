// The words of the numerics design that several kernels share, to the bit.
#pragma once

#include <cstdint>

#include "kernels/cuda/device.h"

namespace lockstep::cuda {

// How a kernel begins that has nothing to do before the one in front of it is done.
__device__ __forceinline__ void follow_previous() {
  let_next_begin();
  wait_for_previous();
}

// Numerics, "How it is possible": the same terms as kernels/canonical_exp.h; without a branch.
__device__ __forceinline__ float canonical_exp(float x) {
  const float inside = x >= -104.0F && x <= 88.8F ? x : 0.0F;
  const float n = round_even(inside * 0x1.715476p+0F);
  float r = fused_multiply_add(n, -0x1.62e4p-1F, inside);
  r = fused_multiply_add(n, -0x1.7f7d1cp-20F, r);
  float q = fused_multiply_add(0x1.a01a02p-13F, r, 0x1.6c16c2p-10F);
  q = fused_multiply_add(q, r, 0x1.111112p-7F);
  q = fused_multiply_add(q, r, 0x1.555556p-5F);
  q = fused_multiply_add(q, r, 0x1.555556p-3F);
  q = fused_multiply_add(q, r, 0.5F);
  const float p = fused_multiply_add(r * r, q, r) + 1.0F;
  const std::int32_t whole = float_to_int(n);
  const std::int32_t half = whole >> 1;  // floor(n / 2)
  const auto power_of_two = [](std::int32_t e) {
    return bits_float(static_cast<std::uint32_t>(e + 127) << 23);
  };
  float result = (p * power_of_two(half)) * power_of_two(whole - half);
  result = x < -104.0F ? 0.0F : result;
  result = x > 88.8F ? bits_float(0x7F800000U) : result;
  return x != x ? x : result;
}

__device__ __forceinline__ float swiglu_of(float gate, float up) {
  return divide(gate, 1.0F + canonical_exp(-gate)) * up;
}

// quantize(v, limit) of the numerics design, from the bits of max|v|.
struct Scaling {
  float scale;
  float inverse;
  float limit;
};

inline constexpr std::uint32_t kNotFinite = 0x7F800000U;  // The least bits of such a magnitude.

__device__ __forceinline__ std::uint32_t magnitude_bits(float v) {
  return float_bits(v) & 0x7FFFFFFFU;
}

// Of a vector that is not finite: all 0, so that its codes are 0.
__device__ __forceinline__ Scaling scaling_of(std::uint32_t largest, float limit) {
  const float a = bits_float(largest);
  if (largest >= kNotFinite || a < 0x1p-100F) return {0.0F, 0.0F, limit};
  return {divide(a, limit), divide(limit, a), limit};
}

__device__ __forceinline__ std::int32_t code_of(float v, const Scaling& scaling) {
  float code = round_even(v * scaling.inverse);
  code = code > scaling.limit ? scaling.limit : code;
  code = code < -scaling.limit ? -scaling.limit : code;
  return scaling.inverse == 0.0F ? 0 : float_to_int(code);
}

__device__ __forceinline__ std::uint32_t larger(std::uint32_t a, std::uint32_t b) {
  return a > b ? a : b;
}

// The largest of all lanes, in each of them.
__device__ __forceinline__ std::uint32_t warp_largest(std::uint32_t value) {
  for (unsigned mask = 16; mask > 0; mask /= 2) value = larger(value, shuffle_xor(value, mask));
  return value;
}

// Bytes 0 to 3 of four codes, as one word.
__device__ __forceinline__ std::uint32_t pack_bytes(const std::int32_t (&codes)[4]) {
  const auto at = [&](int i) { return static_cast<std::uint32_t>(codes[i]); };
  return byte_permute(byte_permute(at(0), at(1), 0x0040), byte_permute(at(2), at(3), 0x0040),
                      0x5410);
}

// code = 256 * hi + lo with lo an int8.
__device__ __forceinline__ std::int32_t high_byte(std::int32_t code) {
  return (code - static_cast<std::int8_t>(code)) >> 8;
}

}  // namespace lockstep::cuda
