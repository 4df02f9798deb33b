// One block of 128 keys for 16 query rows, on one warp: scores, softmax, codes of the
// probabilities, weighted values. Numerics, "Attention", steps 1 to 3.
//
// Scores are fragments of mma.m16n8k32 with queries as rows: a lane has rows g and g + 8 of keys
// 2 t and 2 t + 1 of every n-tile of eight keys. That is also the order of the A operand of the
// second product, so nothing leaves the registers in between but three maxima and sums.
#pragma once

#include <cstdint>

#include "kernels/cuda/device.h"
#include "kernels/cuda/numerics.h"
#include "kernels/device_kv_tiles.h"

namespace lockstep::cuda {

inline constexpr int kKeyBlock = 128;
inline constexpr int kKeyTiles = kKeyBlock / 8;         // n-tiles of scores.
inline constexpr int kKvBlocks = kKeyBlock / kKvSlots;  // KV blocks.
inline constexpr std::uint32_t kUpperNibbles = 0xF0F0F0F0U;
inline constexpr std::uint32_t kMinusInfinity = 0xFF800000U;

// Four nibbles of int4 times 16, as int8: the low or the high half of each byte.
__device__ __forceinline__ std::uint32_t low_nibbles(std::uint32_t word) {
  return word << 4 & kUpperNibbles;
}
__device__ __forceinline__ std::uint32_t high_nibbles(std::uint32_t word) {
  return word & kUpperNibbles;
}

// A lane's query rows g (0) and g + 8 (1).
struct QueryRows {
  const std::int8_t* hi[2];  // Codes of the head; any valid address where the row does not exist.
  const std::int8_t* lo[2];
  float scale[2];
  int position[2];  // -1: the row does not exist.
  bool any[2];      // Whether it exists in some lane; the same in all.
};

// The A fragment of channels 32 * group to + 31.
__device__ __forceinline__ void load_queries(const std::int8_t* const (&rows)[2], int group,
                                             std::uint32_t (&a)[4]) {
  const int first = group * 32 + static_cast<int>(threadIdx.x % 4) * 4;
#pragma unroll
  for (int i = 0; i < 4; ++i) {
    a[i] = *reinterpret_cast<const std::uint32_t*>(rows[i % 2] + first + i / 2 * 16);
  }
}

__device__ __forceinline__ void times_16(std::int32_t (&acc)[2][4]) {
#pragma unroll
  for (int i = 0; i < 8; ++i) acc[i / 4][i % 4] *= 16;
}

// acc += queries * low bytes (or 16 times the upper nibbles) of one KV block, all channels.
template <int kBits, int kGroups, bool kUpper>
__device__ __forceinline__ void score_plane(const std::int8_t* const (&rows)[2],
                                            const std::uint8_t* keys, int groups,
                                            std::int32_t (&acc)[2][4]) {
  const unsigned lane = threadIdx.x % 32;
  const int count = kGroups > 0 ? kGroups : groups;
#pragma unroll(kGroups > 0 ? 2 : 1)  // All of them, and registers run out.
  for (int group = 0; group < count; ++group) {
    std::uint32_t a[4];
    load_queries(rows, group, a);
    std::uint32_t b[2][2];
    if constexpr (kUpper) {
      const uint2 w = *reinterpret_cast<const uint2*>(keys + groups * 512 + group * 256 + lane * 8);
      b[0][0] = low_nibbles(w.x);
      b[0][1] = high_nibbles(w.x);
      b[1][0] = low_nibbles(w.y);
      b[1][1] = high_nibbles(w.y);
    } else {
      const uint4 w = *reinterpret_cast<const uint4*>(keys + group * 512 + lane * 16);
      b[0][0] = w.x;
      b[0][1] = w.y;
      b[1][0] = w.z;
      b[1][1] = w.w;
    }
#pragma unroll
    for (int i = 0; i < 2; ++i) {
      if constexpr (kBits == 16 && !kUpper) {
        mma_s8_u8(acc[i], a, b[i]);
      } else {
        mma_s8_s8(acc[i], a, b[i]);
      }
    }
  }
}

// Integer scores of one KV block: slots 2 t and 2 t + 1, and 8 more.
template <int kBits, int kGroups>
__device__ __forceinline__ void score_kv_block(const QueryRows& rows, const std::uint8_t* keys,
                                               int groups, std::int32_t (&acc)[2][4]) {
#pragma unroll
  for (int i = 0; i < 8; ++i) acc[i / 4][i % 4] = 0;
  if constexpr (kBits == 16) {
    // 4096 (16 kh qh) + 256 kl qh + 16 (16 kh ql) + kl ql, by Horner's rule.
    score_plane<kBits, kGroups, true>(rows.hi, keys, groups, acc);
    times_16(acc);
    score_plane<kBits, kGroups, false>(rows.hi, keys, groups, acc);
    times_16(acc);
    score_plane<kBits, kGroups, true>(rows.lo, keys, groups, acc);
    times_16(acc);
  }
  score_plane<kBits, kGroups, false>(rows.lo, keys, groups, acc);
}

// A lane's scores of a block, then the exponentials: [n-tile][row g, g, g + 8, g + 8].
using Scores = float[kKeyTiles][4];

// What a block leaves for a row besides its values.
struct RowState {
  float m;
  float l;
};

__device__ __forceinline__ int key_of(int tile, int j) {
  return tile * 8 + static_cast<int>(threadIdx.x % 4) * 2 + j % 2;
}

// Over the four lanes that share a row.
__device__ __forceinline__ float row_largest(float v) {
  for (unsigned mask = 2; mask > 0; mask /= 2) {
    const float other = shuffle_xor(v, mask);
    v = other > v ? other : v;
  }
  return v;
}

// A level of the tree of sums. (nvcc does not unroll a loop whose length another loop decides, and
// would put the array into memory.)
template <int kStride>
__device__ __forceinline__ void add_upper_half(float (&sums)[8][2]) {
#pragma unroll
  for (int i = 0; i < 2 * kStride; ++i) {
    sums[i / 2][i % 2] = sums[i / 2][i % 2] + sums[i / 2 + kStride][i % 2];
  }
}

// A row that no lane has: few queries, as in decoding, pay for half of the exponentials.
__device__ __forceinline__ void clear_row(Scores& p, int row) {
#pragma unroll
  for (int tile = 0; tile < kKeyTiles; ++tile) p[tile][2 * row] = p[tile][2 * row + 1] = 0.0F;
}

// Scores to exponentials; masked ones become 0. A row without an unmasked position has m = -inf.
__device__ __forceinline__ void softmax(Scores& p, int first_position, const QueryRows& rows,
                                        RowState (&state)[2]) {
#pragma unroll
  for (int row = 0; row < 2; ++row) {
    if (!rows.any[row]) {
      clear_row(p, row);
      state[row] = {bits_float(kMinusInfinity), 0.0F};
      continue;
    }
    const int left = rows.position[row] - first_position;  // Keys up to this one are seen.
    float m = bits_float(kMinusInfinity);
#pragma unroll
    for (int tile = 0; tile < kKeyTiles; ++tile) {
#pragma unroll
      for (int j = 2 * row; j < 2 * row + 2; ++j) {
        m = key_of(tile, j) <= left && p[tile][j] > m ? p[tile][j] : m;
      }
    }
    m = row_largest(m);
#pragma unroll
    for (int tile = 0; tile < kKeyTiles; ++tile) {
#pragma unroll
      for (int j = 2 * row; j < 2 * row + 2; ++j) {
        const float e = canonical_exp(p[tile][j] - m);  // Without a branch.
        p[tile][j] = key_of(tile, j) <= left ? e : 0.0F;
      }
    }
    // The 64-lane sum: element 64 on, then a tree with strides 32 to 1.
    float sums[8][2];
#pragma unroll
    for (int i = 0; i < 16; ++i) {
      sums[i / 2][i % 2] = p[i / 2][2 * row + i % 2] + p[i / 2 + 8][2 * row + i % 2];
    }
    add_upper_half<4>(sums);
    add_upper_half<2>(sums);
    add_upper_half<1>(sums);
    for (unsigned mask = 2; mask > 0; mask /= 2) {
      sums[0][0] = sums[0][0] + shuffle_xor(sums[0][0], mask);
      sums[0][1] = sums[0][1] + shuffle_xor(sums[0][1], mask);
    }
    state[row] = {m, sums[0][0] + sums[0][1]};
  }
}

// Codes of the probabilities times value scales, as A fragments of steps of 32 keys.
struct ProbabilityCodes {
  std::uint32_t lo[kKeyBlock / 32][4];
  std::uint32_t hi[kKeyBlock / 32][4];  // kv 16 only.
  float factor[2];                      // c / Lp of each row.
};

template <int kBits>
__device__ __forceinline__ void code_probabilities(Scores& p, const QueryRows& rows,
                                                   const float* value_scales,
                                                   ProbabilityCodes* codes) {
  constexpr float kLimit = kBits == 16 ? 4095.0F : 255.0F;
#pragma unroll
  for (int row = 0; row < 2; ++row) {
    if (!rows.any[row]) {
      codes->factor[row] = 0.0F;
#pragma unroll
      for (int half = 0; half < kKvBlocks; ++half) {
        codes->lo[half / 2][half % 2 * 2 + row] = codes->hi[half / 2][half % 2 * 2 + row] = 0;
      }
      continue;
    }
    float c = 0.0F;
#pragma unroll
    for (int tile = 0; tile < kKeyTiles; ++tile) {
#pragma unroll
      for (int j = 2 * row; j < 2 * row + 2; ++j) {
        const float scale = value_scales[key_of(tile, j)];  // Any, of a masked position.
        p[tile][j] = p[tile][j] > 0.0F ? p[tile][j] * scale : 0.0F;
        c = p[tile][j] > c ? p[tile][j] : c;
      }
    }
    c = row_largest(c);
    const float inverse = c < 0x1p-100F ? 0.0F : divide(kLimit, c);
    codes->factor[row] = divide(c, kLimit);
#pragma unroll
    for (int half = 0; half < kKvBlocks; ++half) {  // A KV block is half a step.
      std::int32_t of_block[4];
      std::int32_t upper[4];
#pragma unroll
      for (int i = 0; i < 4; ++i) {
        of_block[i] = float_to_int(round_even(p[2 * half + i / 2][2 * row + i % 2] * inverse));
        upper[i] = of_block[i] >> 8;
      }
      codes->lo[half / 2][half % 2 * 2 + row] = pack_bytes(of_block);
      if constexpr (kBits == 16) codes->hi[half / 2][half % 2 * 2 + row] = pack_bytes(upper);
    }
  }
}

// acc[j] += probabilities * low bytes (or 16 times the upper nibbles) of the values of channels
// 8 j to + 7 of a group, all 128 keys.
template <int kBits, bool kUpper>
__device__ __forceinline__ void value_plane(const std::uint32_t (&codes)[kKeyBlock / 32][4],
                                            const std::uint8_t* values, int group, int groups,
                                            std::size_t tile_bytes, std::int32_t (&acc)[4][4]) {
  const unsigned lane = threadIdx.x % 32;
#pragma unroll
  for (int step = 0; step < kKeyBlock / 32; ++step) {
    std::uint32_t b[4][2];
#pragma unroll
    for (int half = 0; half < 2; ++half) {
      const std::uint8_t* tile = values + (2 * step + half) * tile_bytes;
      if constexpr (kUpper) {
        const uint2 w =
            *reinterpret_cast<const uint2*>(tile + groups * 512 + group * 256 + lane * 8);
        b[0][half] = low_nibbles(w.x);
        b[1][half] = high_nibbles(w.x);
        b[2][half] = low_nibbles(w.y);
        b[3][half] = high_nibbles(w.y);
      } else {
        const uint4 w = *reinterpret_cast<const uint4*>(tile + group * 512 + lane * 16);
        b[0][half] = w.x;
        b[1][half] = w.y;
        b[2][half] = w.z;
        b[3][half] = w.w;
      }
    }
#pragma unroll
    for (int j = 0; j < 4; ++j) {
      if constexpr (kBits == 16 && !kUpper) {
        mma_u8_u8(acc[j], codes[step], b[j]);
      } else {
        mma_u8_s8(acc[j], codes[step], b[j]);
      }
    }
  }
}

__device__ __forceinline__ void times_16(std::int32_t (&acc)[4][4]) {
#pragma unroll
  for (int i = 0; i < 16; ++i) acc[i / 4][i % 4] *= 16;
  __syncwarp();  // Else the next plane's loads come early, and registers run out.
}

// Integer sums of the values of one group of channels: columns 8 j + 2 t and + 1 of rows g, g + 8.
template <int kBits>
__device__ __forceinline__ void weigh_values(const ProbabilityCodes& codes,
                                             const std::uint8_t* values, int group, int groups,
                                             std::int32_t (&acc)[4][4]) {
  const std::size_t tile_bytes = kv_tile_bytes(groups * 32, kBits);
#pragma unroll
  for (int i = 0; i < 16; ++i) acc[i / 4][i % 4] = 0;
  if constexpr (kBits == 16) {
    value_plane<kBits, true>(codes.hi, values, group, groups, tile_bytes, acc);
    times_16(acc);
    value_plane<kBits, false>(codes.hi, values, group, groups, tile_bytes, acc);
    times_16(acc);
    value_plane<kBits, true>(codes.lo, values, group, groups, tile_bytes, acc);
    times_16(acc);
  }
  value_plane<kBits, false>(codes.lo, values, group, groups, tile_bytes, acc);
}

}  // namespace lockstep::cuda
