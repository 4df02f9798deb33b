// A head's vector as the codes of attention: rotated with kv 8, then quantized.
#pragma once

#include <cstdint>

namespace lockstep::kernels::avx2 {

// Heads of other sizes are left to the reference.
constexpr int kHeadMultiple = 16;

// Rotates a copy of the head with `kv_bits` 8 if `rotated`, and quantizes it with the limit of
// `kv_bits`. False when a value is NaN or infinite. Requires: head_size is a multiple of
// kHeadMultiple, at most kMaxHeadSize.
struct HeadCodes {
  const float* head;
  int head_size;
  int kv_bits;
  bool rotated;
};
bool store_head(const HeadCodes& from, std::int16_t* codes, float* scale);

}  // namespace lockstep::kernels::avx2
