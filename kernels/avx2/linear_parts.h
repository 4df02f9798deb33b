// What the quantized linears of this folder share.
#pragma once

#include <cstddef>

#include "kernels/avx2/vector.h"
#include "kernels/input_tile.h"
#include "kernels/ops.h"

namespace lockstep::kernels::avx2 {

constexpr int kHalves = 2;  // Of a panel: 8 rows each.
constexpr int kHalfRows = kPanelRows / kHalves;

// What is subtracted from an unsigned code.
constexpr int offset_of(WeightFormat format) {
  return format == WeightFormat::kQ4_0 ? 8 : format == WeightFormat::kQ8_0 ? 128 : 0;
}

static inline __m256i load_codes(const std::uint8_t* codes) {
  return _mm256_loadu_si256(reinterpret_cast<const __m256i*>(codes));
}

static inline __m256 load_halves(const std::uint8_t* halves) {
  return _mm256_cvtph_ps(_mm_loadu_si128(reinterpret_cast<const __m128i*>(halves)));
}

// How far ahead of the sums the weights are asked for: the processor's own prefetching alone
// reaches two thirds of a core's bandwidth.
constexpr int kPrefetchBytes = 2048;
constexpr int kCacheLine = 64;

template <WeightFormat kFormat>
static inline __attribute__((always_inline)) void prefetch_group(const std::uint8_t* group) {
  for (std::size_t i = 0; i < p16_group_bytes(kFormat); i += kCacheLine) {
    _mm_prefetch(reinterpret_cast<const char*>(group + i), _MM_HINT_T0);
  }
}

// The 32 codes of a group as 16-bit numbers, with the middle two of every four exchanged: the words
// that meet the even and the odd bytes of the weights lie side by side.
template <int kBits>
static inline __attribute__((always_inline)) void widen_codes(const std::int8_t* hi,
                                                              const std::int8_t* lo,
                                                              std::int16_t* wide) {
  const __m256i order = _mm256_setr_epi8(0, 1, 4, 5, 2, 3, 6, 7, 8, 9, 12, 13, 10, 11, 14, 15, 0, 1,
                                         4, 5, 2, 3, 6, 7, 8, 9, 12, 13, 10, 11, 14, 15);
#pragma GCC unroll 2
  for (int i = 0; i < kGroupSize; i += 16) {
    __m256i x = _mm256_cvtepi8_epi16(_mm_loadu_si128(reinterpret_cast<const __m128i*>(lo + i)));
    if constexpr (kBits == 16) {
      const __m256i upper =
          _mm256_cvtepi8_epi16(_mm_loadu_si128(reinterpret_cast<const __m128i*>(hi + i)));
      x = _mm256_add_epi16(x, _mm256_slli_epi16(upper, 8));
    }
    _mm256_store_si256(reinterpret_cast<__m256i*>(wide + i), _mm256_shuffle_epi8(x, order));
  }
}

// The linear for several tokens. False, with nothing done, where it does not pay or fit.
bool linear_block(const LinearArgs& args);

}  // namespace lockstep::kernels::avx2
