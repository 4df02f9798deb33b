#include "kernels/avx512vnni/machine_peak.h"

#include <immintrin.h>

namespace lockstep::kernels::avx512vnni {
namespace {

// The compiler may assume nothing about the value, and computes it where it stands.
inline __attribute__((always_inline)) void keep(__m512i& value) { asm volatile("" : "+v"(value)); }

inline std::uint32_t any_word(__m512i value) {
  alignas(64) std::uint32_t words[16];
  _mm512_store_si512(words, value);
  return words[0];
}

std::uint64_t read(const std::uint8_t* data, std::size_t bytes) {
  constexpr int kSums = 8;
  __m512i sums[kSums];
#pragma GCC unroll 8
  for (int i = 0; i < kSums; ++i) sums[i] = _mm512_setzero_si512();
  for (const std::uint8_t* end = data + bytes; data != end; data += kSums * 64) {
#pragma GCC unroll 8
    for (int i = 0; i < kSums; ++i) {
      sums[i] = _mm512_add_epi64(sums[i], _mm512_load_si512(data + 64 * i));
    }
  }
#pragma GCC unroll 8
  for (int i = 1; i < kSums; ++i) sums[0] = _mm512_add_epi64(sums[0], sums[i]);
  keep(sums[0]);
  return any_word(sums[0]);
}

constexpr int kSums = 12;  // At once: hide the latency of five cycles, two a cycle.

std::uint32_t dot(std::int64_t rounds) {
  __m512i codes = _mm512_set1_epi8(15);
  const __m512i x = _mm512_set1_epi8(-3);
  __m512i sums[kSums];
#pragma GCC unroll 12
  for (int i = 0; i < kSums; ++i) sums[i] = _mm512_setzero_si512();
  for (std::int64_t round = 0; round < rounds; ++round) {
#pragma GCC unroll 12
    for (int i = 0; i < kSums; ++i) {
      keep(codes);
      sums[i] = _mm512_dpbusd_epi32(sums[i], codes, x);
      keep(sums[i]);
    }
  }
#pragma GCC unroll 12
  for (int i = 1; i < kSums; ++i) sums[0] = _mm512_add_epi32(sums[0], sums[i]);
  keep(sums[0]);
  return any_word(sums[0]);
}

}  // namespace

const MachinePeak kMachinePeak = {
    .name = "avx512vnni",
    .instructions = "vpdpbusd",
    .read = read,
    .dot = dot,
    .multiply_adds = kSums * 64,
};

}  // namespace lockstep::kernels::avx512vnni
