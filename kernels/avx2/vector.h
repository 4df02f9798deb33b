// What several AVX2 operations are made of. Everything is static: code compiled for AVX2 must not
// become the one copy that the linker keeps for the whole program.
#pragma once

#include <immintrin.h>

#include <cstdint>
#include <cstring>

namespace lockstep::kernels::avx2 {

constexpr int kWidth = 8;  // Floats in a vector.

static inline __m256i broadcast_word(const void* four_bytes) {
  std::int32_t word;
  std::memcpy(&word, four_bytes, sizeof word);
  return _mm256_set1_epi32(word);
}

// Fixes where a sum is computed: GCC 12 would compute all products first, more than there are
// registers for.
static inline __attribute__((always_inline)) void keep_order(__m256i& sum) { asm("" : "+x"(sum)); }

// A mask of the first `count` lanes.
static inline __m256i first_lanes(int count) {
  return _mm256_cmpgt_epi32(_mm256_set1_epi32(count), _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7));
}

static inline float largest_lane(__m256 v) {
  __m128 half = _mm_max_ps(_mm256_castps256_ps128(v), _mm256_extractf128_ps(v, 1));
  half = _mm_max_ps(half, _mm_movehl_ps(half, half));
  return _mm_cvtss_f32(_mm_max_ss(half, _mm_movehdup_ps(half)));
}

static inline __m256 power_of_two(__m256i n) {
  return _mm256_castsi256_ps(_mm256_slli_epi32(_mm256_add_epi32(n, _mm256_set1_epi32(127)), 23));
}

// canonical_exp of eight values.
static inline __m256 exp(__m256 x) {
  const __m256 n = _mm256_round_ps(_mm256_mul_ps(x, _mm256_set1_ps(0x1.715476p+0f)),
                                   _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC);
  __m256 r = _mm256_fmadd_ps(n, _mm256_set1_ps(-0x1.62e4p-1f), x);
  r = _mm256_fmadd_ps(n, _mm256_set1_ps(-0x1.7f7d1cp-20f), r);
  __m256 q = _mm256_set1_ps(0x1.a01a02p-13f);
  q = _mm256_fmadd_ps(q, r, _mm256_set1_ps(0x1.6c16c2p-10f));
  q = _mm256_fmadd_ps(q, r, _mm256_set1_ps(0x1.111112p-7f));
  q = _mm256_fmadd_ps(q, r, _mm256_set1_ps(0x1.555556p-5f));
  q = _mm256_fmadd_ps(q, r, _mm256_set1_ps(0x1.555556p-3f));
  q = _mm256_fmadd_ps(q, r, _mm256_set1_ps(0.5f));
  const __m256 p = _mm256_add_ps(_mm256_fmadd_ps(_mm256_mul_ps(r, r), q, r), _mm256_set1_ps(1.0f));
  const __m256i whole = _mm256_cvtps_epi32(n);
  const __m256i a = _mm256_srai_epi32(whole, 1);
  __m256 y =
      _mm256_mul_ps(_mm256_mul_ps(p, power_of_two(a)), power_of_two(_mm256_sub_epi32(whole, a)));
  const __m256 small = _mm256_cmp_ps(x, _mm256_set1_ps(-104.0f), _CMP_LT_OQ);
  const __m256 large = _mm256_cmp_ps(x, _mm256_set1_ps(88.8f), _CMP_GT_OQ);
  y = _mm256_andnot_ps(small, y);
  return _mm256_blendv_ps(y, _mm256_set1_ps(__builtin_inff()), large);
}

// The sum of 64 lanes as a binary tree with strides 32, 16, 8, 4, 2, 1.
static inline float tree_sum(const __m256 (&lanes)[8]) {
  const __m256 a =
      _mm256_add_ps(_mm256_add_ps(lanes[0], lanes[4]), _mm256_add_ps(lanes[2], lanes[6]));
  const __m256 b =
      _mm256_add_ps(_mm256_add_ps(lanes[1], lanes[5]), _mm256_add_ps(lanes[3], lanes[7]));
  const __m256 c = _mm256_add_ps(a, b);
  __m128 half = _mm_add_ps(_mm256_castps256_ps128(c), _mm256_extractf128_ps(c, 1));
  half = _mm_add_ps(half, _mm_movehl_ps(half, half));
  return _mm_cvtss_f32(_mm_add_ss(half, _mm_movehdup_ps(half)));
}

// quantize(v, limit) of the numerics design, step by step: the largest magnitude of all vectors as
// its bits, ...
static inline __m256i larger_magnitude(__m256i largest, __m256 v) {
  const __m256i magnitude = _mm256_and_si256(_mm256_castps_si256(v), _mm256_set1_epi32(0x7fffffff));
  return _mm256_max_epi32(largest, magnitude);
}

// ... the two factors (false if a value is NaN or infinite), ...
static inline bool scale_of(__m256i largest_magnitudes, float limit, float* scale, float* inverse) {
  __m128i half = _mm_max_epi32(_mm256_castsi256_si128(largest_magnitudes),
                               _mm256_extracti128_si256(largest_magnitudes, 1));
  half = _mm_max_epi32(half, _mm_shuffle_epi32(half, 0x4e));
  half = _mm_max_epi32(half, _mm_shuffle_epi32(half, 0xb1));
  const std::int32_t bits = _mm_cvtsi128_si32(half);
  float a;
  std::memcpy(&a, &bits, sizeof a);
  const bool zero = a < 0x1p-100f;
  *scale = zero ? 0.0f : a / limit;
  *inverse = zero ? 0.0f : limit / a;
  return bits < 0x7f800000;
}

// ... and the codes.
static inline __m256i codes_of(__m256 v, __m256 inverse, __m256i limit) {
  const __m256i code = _mm256_cvtps_epi32(_mm256_mul_ps(v, inverse));
  return _mm256_max_epi32(_mm256_min_epi32(code, limit),
                          _mm256_sub_epi32(_mm256_setzero_si256(), limit));
}

}  // namespace lockstep::kernels::avx2
