#include <cstddef>

#include "kernels/avx2/avx2.h"
#include "kernels/avx2/vector.h"

namespace lockstep::kernels::avx2 {
namespace {

constexpr int kVectors = kGroupSize / kWidth;

// A group's values; 0 behind the end of the vector.
struct Group {
  __m256 v[kVectors];
};

inline __attribute__((always_inline)) Group load_group(const float* v, int count) {
  Group group;
#pragma GCC unroll 4
  for (int i = 0; i < kVectors; ++i) {
    group.v[i] = count >= kGroupSize
                     ? _mm256_loadu_ps(v + kWidth * i)
                     : _mm256_maskload_ps(v + kWidth * i, first_lanes(count - kWidth * i));
  }
  return group;
}

std::int32_t sum_of_lanes(__m256i v) {
  __m128i half = _mm_add_epi32(_mm256_castsi256_si128(v), _mm256_extracti128_si256(v, 1));
  half = _mm_add_epi32(half, _mm_shuffle_epi32(half, 0x4e));
  half = _mm_add_epi32(half, _mm_shuffle_epi32(half, 0xb1));
  return _mm_cvtsi128_si32(half);
}

// 32 numbers from two vectors of 16-bit numbers as bytes; undoes the order of the pack
// instructions.
__m256i pack_bytes(__m256i a, __m256i b) {
  return _mm256_permutevar8x32_epi32(_mm256_packs_epi16(a, b),
                                     _mm256_setr_epi32(0, 4, 1, 5, 2, 6, 3, 7));
}

void store(std::int8_t* codes, __m256i bytes) {
  _mm256_storeu_si256(reinterpret_cast<__m256i*>(codes), bytes);
}

// Writes one group's codes and returns their sum. `hi` is null with 8 bits.
std::int32_t store_codes(const Group& group, float inverse, int limit, std::int8_t* hi,
                         std::int8_t* lo) {
  __m256i codes[kVectors];
#pragma GCC unroll 4
  for (int i = 0; i < kVectors; ++i) {
    codes[i] = codes_of(group.v[i], _mm256_set1_ps(inverse), _mm256_set1_epi32(limit));
  }
  const __m256i a = _mm256_packs_epi32(codes[0], codes[1]);
  const __m256i b = _mm256_packs_epi32(codes[2], codes[3]);
  if (hi == nullptr) {
    store(lo, pack_bytes(a, b));
  } else {
    const __m256i a_lo = _mm256_srai_epi16(_mm256_slli_epi16(a, 8), 8);
    const __m256i b_lo = _mm256_srai_epi16(_mm256_slli_epi16(b, 8), 8);
    store(lo, pack_bytes(a_lo, b_lo));
    store(hi, pack_bytes(_mm256_srai_epi16(_mm256_sub_epi16(a, a_lo), 8),
                         _mm256_srai_epi16(_mm256_sub_epi16(b, b_lo), 8)));
  }
  return sum_of_lanes(
      _mm256_add_epi32(_mm256_add_epi32(codes[0], codes[1]), _mm256_add_epi32(codes[2], codes[3])));
}

// Quantizes groups [begin, end) of one token, which share a scale.
bool quantize_run(const QuantizeArgs& args, int token, int begin, int end, float* scale) {
  const Activations& output = args.output;
  const bool wide = output.bits == 16;
  const int limit = wide ? 32639 : 127;
  const float* v = args.input + static_cast<std::ptrdiff_t>(token) * args.input_stride;
  __m256i largest = _mm256_setzero_si256();
  for (int g = begin; g < end; ++g) {
    const Group group = load_group(v + g * kGroupSize, args.k - g * kGroupSize);
    for (const __m256& vector : group.v) largest = larger_magnitude(largest, vector);
  }
  float inverse;
  if (!scale_of(largest, static_cast<float>(limit), scale, &inverse)) return false;
  const std::ptrdiff_t first = static_cast<std::ptrdiff_t>(token) * output.k_padded;
  std::int32_t* sums = output.sums + static_cast<std::ptrdiff_t>(token) * output.groups();
  for (int g = begin; g < end; ++g) {
    const Group group = load_group(v + g * kGroupSize, args.k - g * kGroupSize);
    const std::ptrdiff_t place = first + static_cast<std::ptrdiff_t>(g) * kGroupSize;
    sums[g] =
        store_codes(group, inverse, limit, wide ? output.hi + place : nullptr, output.lo + place);
  }
  return true;
}

}  // namespace

bool quantize(const QuantizeArgs& args) {
  const Activations& output = args.output;
  const bool wide = output.bits == 16;
  const int run = wide ? output.segment_groups : 1;
  const int num_runs = wide ? output.num_segments() : output.groups();
  for (int t = args.token_begin; t < args.token_end; ++t) {
    float* scales = output.scales + static_cast<std::ptrdiff_t>(t) * num_runs;
    for (int r = 0; r < num_runs; ++r) {
      const int begin = r * run;
      const int end = output.groups() - begin < run ? output.groups() : begin + run;
      if (!quantize_run(args, t, begin, end, scales + r)) return false;
    }
  }
  return true;
}

}  // namespace lockstep::kernels::avx2
