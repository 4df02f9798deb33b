// One group of 32 along K, 16 rows and 8 tokens: the heart of every quantized linear. Numerics,
// "Quantized linear".
#pragma once

#include <cstdint>

#include "kernels/cuda/device.h"
#include "kernels/device_fragments.h"

namespace lockstep::cuda {

// A lane's share of a quad of weights: rows g and g + 8, with g = lane / 4.
template <WeightFormat kFormat>
struct WeightQuad {
  uint4 scales;  // Four halves of row g, four of row g + 8.
  uint4 minimums;
  uint4 codes[kFormat == WeightFormat::kQ8_0 ? 4 : 2];
};

template <WeightFormat kFormat>
__device__ __forceinline__ WeightQuad<kFormat> load_quad(const std::uint8_t* quad, unsigned lane) {
  WeightQuad<kFormat> loaded;
  const auto at = [quad](unsigned offset) {
    return *reinterpret_cast<const uint4*>(quad + offset);
  };
  loaded.scales = at(lane / 4 * 16);
  if constexpr (kFormat == WeightFormat::kQ4_1) loaded.minimums = at(128 + lane / 4 * 16);
  constexpr unsigned kCodes = weight_scale_bytes(kFormat);
#pragma unroll
  for (unsigned i = 0; i < sizeof loaded.codes / sizeof loaded.codes[0]; ++i) {
    loaded.codes[i] = at(kCodes + i * 512 + lane * 16);
  }
  return loaded;
}

// The half of group `group` among the four of row g or, with `lower`, of row g + 8.
__device__ __forceinline__ float half_of(const uint4& halves, int group, bool lower) {
  const std::uint32_t word =
      lower ? (group < 2 ? halves.z : halves.w) : (group < 2 ? halves.x : halves.y);
  return half_to_float(group % 2 == 0 ? word & 0xFFFFU : word >> 16);
}

// The A fragment of one group: codes as they are stored, unsigned.
template <WeightFormat kFormat>
__device__ __forceinline__ void unpack_codes(const WeightQuad<kFormat>& quad, int group,
                                             std::uint32_t (&a)[4]) {
  if constexpr (kFormat == WeightFormat::kQ8_0) {
    const uint4& codes = quad.codes[group];
    a[0] = codes.x;
    a[1] = codes.y;
    a[2] = codes.z;
    a[3] = codes.w;
  } else {
    const uint4& pair = quad.codes[group / 2];
    const std::uint32_t upper = group % 2 == 0 ? pair.x : pair.z;  // Row g.
    const std::uint32_t lower = group % 2 == 0 ? pair.y : pair.w;  // Row g + 8.
    a[0] = upper & 0x0F0F0F0FU;
    a[1] = lower & 0x0F0F0F0FU;
    a[2] = upper >> 4 & 0x0F0F0F0FU;
    a[3] = lower >> 4 & 0x0F0F0F0FU;
  }
}

// One group of a quad at a time, for those who have no registers for a whole one.
template <WeightFormat kFormat>
struct WeightGroup {
  std::uint32_t a[4];
  float d[2];
  float m[2] = {0.0F, 0.0F};

  __device__ __forceinline__ void load(const std::uint8_t* quad, int group, unsigned lane) {
    const std::uint8_t* codes = quad + weight_scale_bytes(kFormat) + lane * 16;
    if constexpr (kFormat == WeightFormat::kQ8_0) {
      const uint4 words = *reinterpret_cast<const uint4*>(codes + group * 512);
      a[0] = words.x;
      a[1] = words.y;
      a[2] = words.z;
      a[3] = words.w;
    } else {
      const uint2 words = *reinterpret_cast<const uint2*>(codes + group / 2 * 512 + group % 2 * 8);
      a[0] = words.x & 0x0F0F0F0FU;
      a[1] = words.y & 0x0F0F0F0FU;
      a[2] = words.x >> 4 & 0x0F0F0F0FU;
      a[3] = words.y >> 4 & 0x0F0F0F0FU;
    }
    const auto* halves = reinterpret_cast<const std::uint16_t*>(quad + lane / 4 * 16) + group;
    for (int i = 0; i < 2; ++i) {
      d[i] = half_to_float(halves[4 * i]);
      if constexpr (kFormat == WeightFormat::kQ4_1) m[i] = half_to_float(halves[64 + 4 * i]);
    }
  }
};

// A lane's share of a group of 8 tokens: the codes of token g, and of tokens 2 t and 2 t + 1 the
// sum of codes and (8-bit) the scale.
struct TokenGroup {
  std::uint32_t hi[2];
  std::uint32_t lo[2];
  std::int32_t sums[2];
  float scales[2];
};

template <int kBits>
__device__ __forceinline__ void load_codes(const std::uint8_t* lane_codes, TokenGroup* tokens) {
  if constexpr (kBits == 16) {
    const uint4 words = *reinterpret_cast<const uint4*>(lane_codes);
    tokens->hi[0] = words.x;
    tokens->hi[1] = words.y;
    tokens->lo[0] = words.z;
    tokens->lo[1] = words.w;
  } else {
    const uint2 words = *reinterpret_cast<const uint2*>(lane_codes);
    tokens->lo[0] = words.x;
    tokens->lo[1] = words.y;
  }
}

// acc += the group: acc[0], acc[1] are row g of tokens 2 t and 2 t + 1, acc[2], acc[3] row g + 8.
template <WeightFormat kFormat, int kBits>
__device__ __forceinline__ void add_group(const std::uint32_t (&a)[4], const float (&d)[2],
                                          const float (&m)[2], const TokenGroup& x,
                                          float (&acc)[4]) {
  constexpr std::int32_t kOffset = code_offset(kFormat);
  const std::int32_t correction[2] = {-kOffset * x.sums[0], -kOffset * x.sums[1]};
  std::int32_t isum[4];
  if constexpr (kBits == 16) {
    std::int32_t upper[4] = {0, 0, 0, 0};
    mma_u8_s8(upper, a, x.hi);
#pragma unroll
    for (int i = 0; i < 4; ++i) isum[i] = upper[i] * 256 + correction[i % 2];
  } else {
#pragma unroll
    for (int i = 0; i < 4; ++i) isum[i] = correction[i % 2];
  }
  mma_u8_s8(isum, a, x.lo);
#pragma unroll
  for (int i = 0; i < 4; ++i) {
    const float scale = kBits == 16 ? d[i / 2] : d[i / 2] * x.scales[i % 2];
    acc[i] = fused_multiply_add(int_to_float(isum[i]), scale, acc[i]);
    if constexpr (kFormat == WeightFormat::kQ4_1) {
      const float minimum = kBits == 16 ? m[i / 2] : m[i / 2] * x.scales[i % 2];
      acc[i] = fused_multiply_add(int_to_float(x.sums[i % 2]), minimum, acc[i]);
    }
  }
}

}  // namespace lockstep::cuda
