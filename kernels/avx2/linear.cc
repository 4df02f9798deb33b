// The quantized linear with 256-bit vectors. A panel is two halves of 8 rows; a 32-bit lane is a
// row throughout, so nothing is ever shuffled: activations come as 4-byte words broadcast to all
// rows.
#include <cstddef>

#include "kernels/avx2/avx2.h"
#include "kernels/avx2/linear_parts.h"
#include "kernels/avx2/vector.h"

namespace lockstep::kernels::avx2 {
namespace {

// Codes of a block of tokens that stay in the second-level cache while all panels pass over them.
constexpr int kTokenBlockBytes = 192 * 1024;

template <int kTokens>
struct IntegerSums {
  __m256i of[kTokens][kHalves];
};

// 4-bit codes are unsigned bytes: pairs of products with one plane of the activations are summed in
// 16 bits over the whole group, at most 15 * 128 * 2 * 8 < 2^15, and widened once.
template <int kBits, int kTokens>
inline __attribute__((always_inline)) void dot_nibbles(const std::uint8_t* codes,
                                                       const InputTile& input, std::ptrdiff_t k,
                                                       IntegerSums<kTokens>* sums) {
  constexpr int kPlanes = kBits / 8;
  const __m256i mask = _mm256_set1_epi8(15);
  __m256i partial[kTokens][kPlanes][kHalves];
#pragma GCC unroll 4
  for (int j = 0; j < 4; ++j) {
    const __m256i block[kHalves] = {load_codes(codes + 64 * j), load_codes(codes + 64 * j + 32)};
    const __m256i low[kHalves] = {_mm256_and_si256(block[0], mask),
                                  _mm256_and_si256(block[1], mask)};
    const __m256i high[kHalves] = {_mm256_and_si256(_mm256_srli_epi16(block[0], 4), mask),
                                   _mm256_and_si256(_mm256_srli_epi16(block[1], 4), mask)};
#pragma GCC unroll 8
    for (int t = 0; t < kTokens; ++t) {
#pragma GCC unroll 2
      for (int plane = 0; plane < kPlanes; ++plane) {
        const std::int8_t* x = (plane == 0 ? input.lo : input.hi) + t * input.k_padded + k + 4 * j;
        __m256i* sum = partial[t][plane];
        const __m256i x_low = broadcast_word(x);
        const __m256i x_high = broadcast_word(x + 16);
#pragma GCC unroll 2
        for (int half = 0; half < kHalves; ++half) {
          const __m256i product = _mm256_maddubs_epi16(low[half], x_low);
          sum[half] = j == 0 ? product : _mm256_add_epi16(sum[half], product);
          keep_order(sum[half]);
          sum[half] = _mm256_add_epi16(sum[half], _mm256_maddubs_epi16(high[half], x_high));
          keep_order(sum[half]);
        }
      }
    }
  }
#pragma GCC unroll 8
  for (int t = 0; t < kTokens; ++t) {
#pragma GCC unroll 2
    for (int half = 0; half < kHalves; ++half) {
      __m256i sum = _mm256_madd_epi16(partial[t][0][half], _mm256_set1_epi16(1));
      if constexpr (kPlanes == 2) {
        const __m256i upper = _mm256_madd_epi16(partial[t][1][half], _mm256_set1_epi16(256));
        sum = _mm256_add_epi32(sum, upper);
      }
      sums->of[t][half] = sum;
    }
  }
}

// 8-bit codes are unsigned bytes too (the sign bit is flipped), but pairs of products would
// saturate 16 bits: even and odd bytes are multiplied as 16-bit numbers with the whole activation
// code.
template <int kBits, int kTokens>
inline __attribute__((always_inline)) void dot_bytes(const std::uint8_t* codes,
                                                     const InputTile& input, std::ptrdiff_t k,
                                                     IntegerSums<kTokens>* sums) {
  alignas(32) std::int16_t wide[kTokens][kGroupSize];
#pragma GCC unroll 8
  for (int t = 0; t < kTokens; ++t) {
    const std::ptrdiff_t first = t * input.k_padded + k;
    widen_codes<kBits>(kBits == 16 ? input.hi + first : nullptr, input.lo + first, wide[t]);
  }
  const __m256i mask = _mm256_set1_epi16(255);
#pragma GCC unroll 8
  for (int j = 0; j < 8; ++j) {
    const __m256i block[kHalves] = {load_codes(codes + 64 * j), load_codes(codes + 64 * j + 32)};
    const __m256i even[kHalves] = {_mm256_and_si256(block[0], mask),
                                   _mm256_and_si256(block[1], mask)};
    const __m256i odd[kHalves] = {_mm256_srli_epi16(block[0], 8), _mm256_srli_epi16(block[1], 8)};
#pragma GCC unroll 8
    for (int t = 0; t < kTokens; ++t) {
      const __m256i x_even = broadcast_word(&wide[t][4 * j]);
      const __m256i x_odd = broadcast_word(&wide[t][4 * j + 2]);
#pragma GCC unroll 2
      for (int half = 0; half < kHalves; ++half) {
        __m256i& sum = sums->of[t][half];
        const __m256i product = _mm256_madd_epi16(even[half], x_even);
        sum = j == 0 ? product : _mm256_add_epi32(sum, product);
        keep_order(sum);
        sum = _mm256_add_epi32(sum, _mm256_madd_epi16(odd[half], x_odd));
        keep_order(sum);
      }
    }
  }
}

// Adds group `g`, whose bytes are at `group`, to the sums of a segment.
template <WeightFormat kFormat, int kBits, int kTokens>
inline __attribute__((always_inline)) void add_group(const std::uint8_t* group,
                                                     const InputTile& input, std::ptrdiff_t g,
                                                     __m256 (&acc)[kTokens][kHalves]) {
  constexpr int kOffset = offset_of(kFormat);
  IntegerSums<kTokens> sums;
  if constexpr (kFormat == WeightFormat::kQ8_0) {
    dot_bytes<kBits, kTokens>(group + p16_codes_offset(kFormat), input, g * kGroupSize, &sums);
  } else {
    dot_nibbles<kBits, kTokens>(group + p16_codes_offset(kFormat), input, g * kGroupSize, &sums);
  }
#pragma GCC unroll 2
  for (int half = 0; half < kHalves; ++half) {
    const __m256 d = load_halves(group + 2 * kHalfRows * half);
    __m256 m = _mm256_setzero_ps();
    if constexpr (kFormat == WeightFormat::kQ4_1) {
      m = load_halves(group + 2 * kPanelRows + 2 * kHalfRows * half);
    }
#pragma GCC unroll 8
    for (int t = 0; t < kTokens; ++t) {
      const std::int32_t xsum = input.sums[t * input.groups + g];
      __m256i isum = sums.of[t][half];
      if constexpr (kOffset != 0) {
        isum = _mm256_sub_epi32(isum, _mm256_set1_epi32(kOffset * xsum));
      }
      __m256 scale = d;
      __m256 minimum = m;
      if constexpr (kBits == 8) {
        const __m256 s = _mm256_set1_ps(input.scales[t * input.runs + g]);
        scale = _mm256_mul_ps(d, s);
        minimum = _mm256_mul_ps(m, s);
      }
      acc[t][half] = _mm256_fmadd_ps(_mm256_cvtepi32_ps(isum), scale, acc[t][half]);
      if constexpr (kFormat == WeightFormat::kQ4_1) {
        const __m256 x = _mm256_set1_ps(static_cast<float>(xsum));
        acc[t][half] = _mm256_fmadd_ps(x, minimum, acc[t][half]);
      }
    }
  }
}

// Outputs of one panel for kTokens tokens.
template <WeightFormat kFormat, int kBits, int kTokens>
void panel_times_tokens(const LinearArgs& args, int panel, int first_token) {
  const InputTile input = tile_of(args.input, first_token);
  const std::uint8_t* group = args.weight.panel(panel);
  const int num_segments = args.input.num_segments();
  const int num_groups = args.weight.groups();
  float* output = args.output + static_cast<std::ptrdiff_t>(first_token) * args.output_stride +
                  static_cast<std::ptrdiff_t>(panel) * kPanelRows;
  for (int s = 0; s < num_segments; ++s) {
    __m256 acc[kTokens][kHalves] = {};
    const int begin = s * args.input.segment_groups;
    const int left = num_groups - begin;
    const int end =
        left < args.input.segment_groups ? num_groups : begin + args.input.segment_groups;
    for (int g = begin; g < end; ++g) {
      prefetch_group<kFormat>(group + kPrefetchBytes);
      add_group<kFormat, kBits, kTokens>(group, input, g, acc);
      group += p16_group_bytes(kFormat);
    }
#pragma GCC unroll 8
    for (int t = 0; t < kTokens; ++t) {
#pragma GCC unroll 2
      for (int half = 0; half < kHalves; ++half) {
        __m256 p = acc[t][half];
        if constexpr (kBits == 16) {
          p = _mm256_mul_ps(p, _mm256_set1_ps(input.scales[t * input.runs + s]));
        }
        float* y = output + static_cast<std::ptrdiff_t>(t) * args.output_stride + kHalfRows * half;
        _mm256_storeu_ps(y, s == 0 && !args.accumulate ? p : _mm256_add_ps(_mm256_loadu_ps(y), p));
      }
    }
  }
}

void clear_padding(const LinearArgs& args) {
  if (args.panel_end < args.weight.panels()) return;
  for (int t = 0; t < args.input.num_tokens; ++t) {
    float* output = args.output + static_cast<std::ptrdiff_t>(t) * args.output_stride;
    for (int n = args.weight.rows; n < args.weight.panels() * kPanelRows; ++n) output[n] = 0.0f;
  }
}

template <WeightFormat kFormat, int kBits>
void linear_of(const LinearArgs& args) {
  // As many tokens as their sums leave the 16 registers for.
  constexpr int kTile = kFormat != WeightFormat::kQ8_0 && kBits == 16 ? 2 : 4;
  const int num_tokens = args.input.num_tokens;
  const int token_bytes = args.input.k_padded * (kBits / 8);
  const int fitting = kTokenBlockBytes / token_bytes / kTile * kTile;
  const int block = fitting > kTile ? fitting : kTile;
  for (int first = 0; first < num_tokens; first += block) {
    const int last = num_tokens - first < block ? num_tokens : first + block;
    for (int panel = args.panel_begin; panel < args.panel_end; ++panel) {
      int t = first;
      for (; t + kTile <= last; t += kTile)
        panel_times_tokens<kFormat, kBits, kTile>(args, panel, t);
      for (; t < last; ++t) panel_times_tokens<kFormat, kBits, 1>(args, panel, t);
    }
  }
}

}  // namespace

void linear(const LinearArgs& args) {
  if (args.panel_begin >= args.panel_end) return;
  if (linear_block(args)) return clear_padding(args);
  const bool wide = args.input.bits == 16;
  switch (args.weight.format) {
    case WeightFormat::kQ4_0:
      wide ? linear_of<WeightFormat::kQ4_0, 16>(args) : linear_of<WeightFormat::kQ4_0, 8>(args);
      break;
    case WeightFormat::kQ4_1:
      wide ? linear_of<WeightFormat::kQ4_1, 16>(args) : linear_of<WeightFormat::kQ4_1, 8>(args);
      break;
    case WeightFormat::kQ8_0:
      wide ? linear_of<WeightFormat::kQ8_0, 16>(args) : linear_of<WeightFormat::kQ8_0, 8>(args);
      break;
    case WeightFormat::kF32:
      break;
  }
  clear_padding(args);
}

}  // namespace lockstep::kernels::avx2
