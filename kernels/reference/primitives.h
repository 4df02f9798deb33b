// What several reference operations are made of: the words of the numerics design that are not
// operations themselves.
#pragma once

#include <cstdint>

#include "base/p16.h"

namespace lockstep::kernels::reference {

// The value of a binary16 number, exact.
float half_value(std::uint16_t bits);

// Sum of v[i] (or of v[i]^2 by fma) in 64 lanes, then as a binary tree with strides 32, 16, 8, 4,
// 2, 1.
float lane_sum(const float* v, int n);
float lane_sum_of_squares(const float* v, int n);

// quantize(v, limit) of the numerics design, without the codes.
struct Scaling {
  float scale;    // s = max|v| / limit; 0 if max|v| < 2^-100.
  float inverse;  // r = limit / max|v|; likewise.
  int limit;
  bool finite;  // Whether no value is NaN or infinite; if not, scale and inverse say nothing.
};
Scaling scaling_of(const float* v, int n, int limit);
std::int32_t code_of(float value, const Scaling& scaling);

// The largest power of two that divides n. Requires: n > 0.
int rotation_block(int n);

// The unnormalized Walsh-Hadamard transform of each block of rotation_block(n) values, in place.
void rotate(float* v, int n);

// Code `index` of a run of codes of the cache (kernels/kv_layout.h).
std::int32_t load_kv_code(const void* codes, int kv_bits, int index);
void store_kv_code(void* codes, int kv_bits, int index, std::int32_t code);

// One group of one panel, decoded from layout p16. Codes have the format's offset subtracted, and
// lie as they are stored: in blocks of four along K.
struct PanelGroup {
  float d[kPanelRows];
  float m[kPanelRows];  // 0 for symmetric formats.
  std::int16_t codes[kGroupSize / 4][4 * kPanelRows];

  std::int16_t code(int row, int k) const { return codes[k / 4][4 * row + k % 4]; }
};
void decode_group(WeightFormat format, const std::uint8_t* bytes, PanelGroup* group);

}  // namespace lockstep::kernels::reference
