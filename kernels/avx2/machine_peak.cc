#include "kernels/avx2/machine_peak.h"

#include <immintrin.h>

namespace lockstep::kernels::avx2 {
namespace {

// The compiler may assume nothing about the value, and computes it where it stands.
inline __attribute__((always_inline)) void keep(__m256i& value) { asm volatile("" : "+x"(value)); }

inline std::uint32_t any_word(__m256i value) {
  return static_cast<std::uint32_t>(_mm256_extract_epi32(value, 0));
}

std::uint64_t read(const std::uint8_t* data, std::size_t bytes) {
  constexpr int kSums = 8;
  __m256i sums[kSums];
#pragma GCC unroll 8
  for (int i = 0; i < kSums; ++i) sums[i] = _mm256_setzero_si256();
  for (const std::uint8_t* end = data + bytes; data != end; data += kSums * 32) {
#pragma GCC unroll 8
    for (int i = 0; i < kSums; ++i) {
      const auto* at = reinterpret_cast<const __m256i*>(data + 32 * i);
      sums[i] = _mm256_add_epi64(sums[i], _mm256_load_si256(at));
    }
  }
#pragma GCC unroll 8
  for (int i = 1; i < kSums; ++i) sums[0] = _mm256_add_epi64(sums[0], sums[i]);
  keep(sums[0]);
  return any_word(sums[0]);
}

// As the engine multiplies 4-bit codes: products of eight bytes are summed in 16 bits, then
// widened. Four such sums at once hide the latency.
constexpr int kSums = 4;
constexpr int kDepth = 8;

std::uint32_t dot(std::int64_t rounds) {
  const __m256i ones = _mm256_set1_epi16(1);
  __m256i codes = _mm256_set1_epi8(15);
  const __m256i x = _mm256_set1_epi8(-3);
  __m256i totals[kSums];
#pragma GCC unroll 4
  for (int i = 0; i < kSums; ++i) totals[i] = _mm256_setzero_si256();
  for (std::int64_t round = 0; round < rounds; ++round) {
    __m256i sums[kSums];
#pragma GCC unroll 8
    for (int step = 0; step < kDepth; ++step) {
#pragma GCC unroll 4
      for (int i = 0; i < kSums; ++i) {
        keep(codes);
        const __m256i product = _mm256_maddubs_epi16(codes, x);
        sums[i] = step == 0 ? product : _mm256_add_epi16(sums[i], product);
        keep(sums[i]);
      }
    }
#pragma GCC unroll 4
    for (int i = 0; i < kSums; ++i) {
      totals[i] = _mm256_add_epi32(totals[i], _mm256_madd_epi16(sums[i], ones));
    }
  }
#pragma GCC unroll 4
  for (int i = 1; i < kSums; ++i) totals[0] = _mm256_add_epi32(totals[0], totals[i]);
  keep(totals[0]);
  return any_word(totals[0]);
}

}  // namespace

const MachinePeak kMachinePeak = {
    .name = "avx2",
    .instructions = "vpmaddubsw + vpmaddwd",
    .read = read,
    .dot = dot,
    .multiply_adds = kSums * kDepth * 32,
};

}  // namespace lockstep::kernels::avx2
