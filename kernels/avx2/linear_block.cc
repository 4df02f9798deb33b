// The quantized linear for several tokens: the codes of a panel are unpacked once, into the
// first-level cache, and then meet all tokens of a block. Every lane is a row, as in linear.cc.
// Weights and activations are 16-bit numbers, pairs of which are multiplied and added by
// `vpmaddwd`.
#include <algorithm>
#include <cstddef>

#include "kernels/avx2/avx2.h"
#include "kernels/avx2/linear_parts.h"
#include "kernels/avx2/vector.h"

namespace lockstep::kernels::avx2 {
namespace {

constexpr int kChunkGroups = 16;  // Groups unpacked at once: 16 KiB of 16-bit codes.
constexpr int kPairs = kGroupSize / 2;
constexpr int kTile = 4;                 // Tokens whose sums are in registers at once.
constexpr int kMaxTokens = 64;           // Of a block.
constexpr int kBlockCodes = 128 * 1024;  // 16-bit codes of a block of tokens: second-level cache.

// A few groups of one panel, unpacked.
struct PanelChunk {
  alignas(32) __m256i codes[kChunkGroups][kPairs][kHalves];  // Each [8 rows][2].
  alignas(32) __m256 d[kChunkGroups][kHalves];
  alignas(32) __m256 m[kChunkGroups][kHalves];
};

// Some consecutive tokens.
struct WideTile : InputTile {
  const std::int16_t* codes;  // [token][k_padded], in the order of widen_codes().
};

// The tokens of a block.
struct TokenBlock {
  alignas(32) std::int16_t codes[kBlockCodes];    // [token][k_padded]
  alignas(32) float acc[kMaxTokens][kPanelRows];  // Of an unfinished segment of a panel.
};

// 16-bit numbers of the even and of the odd bytes, less `offset`.
inline void widen(__m256i bytes, __m256i offset, __m256i* even, __m256i* odd) {
  *even = _mm256_sub_epi16(_mm256_and_si256(bytes, _mm256_set1_epi16(255)), offset);
  *odd = _mm256_sub_epi16(_mm256_srli_epi16(bytes, 8), offset);
}

template <WeightFormat kFormat>
void unpack_group(const std::uint8_t* codes, __m256i (*out)[kHalves]) {
  const __m256i mask = _mm256_set1_epi8(15);
  const __m256i offset = _mm256_set1_epi16(offset_of(kFormat));
  constexpr int kBlocks = kFormat == WeightFormat::kQ8_0 ? 8 : 4;
  for (int j = 0; j < kBlocks; ++j) {
    for (int half = 0; half < kHalves; ++half) {
      const __m256i block = load_codes(codes + kCodeBlockBytes * j + 32 * half);
      __m256i* even = &out[2 * j][half];
      __m256i* odd = &out[2 * j + 1][half];
      if constexpr (kFormat == WeightFormat::kQ8_0) {
        widen(block, offset, even, odd);
      } else {
        widen(_mm256_and_si256(block, mask), offset, even, odd);
        const __m256i high = _mm256_and_si256(_mm256_srli_epi16(block, 4), mask);
        widen(high, offset, even + kPairs, odd + kPairs);
      }
    }
  }
}

template <WeightFormat kFormat>
void unpack(const std::uint8_t* group, int num_groups, PanelChunk* chunk) {
  for (int g = 0; g < num_groups; ++g, group += p16_group_bytes(kFormat)) {
    unpack_group<kFormat>(group + p16_codes_offset(kFormat), chunk->codes[g]);
    for (int half = 0; half < kHalves; ++half) {
      chunk->d[g][half] = load_halves(group + 2 * kHalfRows * half);
      if constexpr (kFormat == WeightFormat::kQ4_1) {
        chunk->m[g][half] = load_halves(group + 2 * kPanelRows + 2 * kHalfRows * half);
      }
    }
  }
}

// One group's products of 16 rows with kTokens tokens, whose codes are `stride` apart.
template <int kTokens>
inline __attribute__((always_inline)) void dot_group(const __m256i (&codes)[kPairs][kHalves],
                                                     const std::int16_t* x, std::ptrdiff_t stride,
                                                     __m256i (&sums)[kTokens][kHalves]) {
#pragma GCC unroll 16
  for (int i = 0; i < kPairs; ++i) {
    const __m256i w[kHalves] = {codes[i][0], codes[i][1]};
#pragma GCC unroll 4
    for (int t = 0; t < kTokens; ++t) {
      const __m256i pair = broadcast_word(x + t * stride + 2 * i);
#pragma GCC unroll 2
      for (int half = 0; half < kHalves; ++half) {
        const __m256i product = _mm256_madd_epi16(w[half], pair);
        sums[t][half] = i == 0 ? product : _mm256_add_epi32(sums[t][half], product);
        keep_order(sums[t][half]);
      }
    }
  }
}

// Groups [begin, begin + count) of a segment, which are in a PanelChunk, and what becomes of their
// sums.
struct ChunkRange {
  int begin;
  int count;
  int segment;
  bool opens;   // The sums start at 0, else at what `acc` holds.
  bool closes;  // The sums are scaled and go to the output, else to `acc`.
  bool fold;    // The output holds sums to the left of these.
};

// The sums of one panel and kTokens tokens.
struct TileSums {
  float (*acc)[kPanelRows];  // Of an unfinished segment.
  float* output;             // [kTokens, output_stride]
  std::ptrdiff_t output_stride;
};

template <int kBits, int kTokens>
inline __attribute__((always_inline)) void close_segment(const __m256 (&acc)[kTokens][kHalves],
                                                         const ChunkRange& range,
                                                         const WideTile& input,
                                                         const TileSums& to) {
#pragma GCC unroll 4
  for (int t = 0; t < kTokens; ++t) {
#pragma GCC unroll 2
    for (int half = 0; half < kHalves; ++half) {
      __m256 p = acc[t][half];
      if constexpr (kBits == 16) {
        p = _mm256_mul_ps(p, _mm256_set1_ps(input.scales[t * input.runs + range.segment]));
      }
      float* y = to.output + t * to.output_stride + kHalfRows * half;
      _mm256_storeu_ps(y, range.fold ? _mm256_add_ps(_mm256_loadu_ps(y), p) : p);
    }
  }
}

template <WeightFormat kFormat, int kBits, int kTokens>
__attribute__((noinline)) void add_chunk(const PanelChunk& chunk, const ChunkRange& range,
                                         const WideTile& input, const TileSums& to) {
  __m256 acc[kTokens][kHalves];
#pragma GCC unroll 4
  for (int t = 0; t < kTokens; ++t) {
#pragma GCC unroll 2
    for (int half = 0; half < kHalves; ++half) {
      acc[t][half] =
          range.opens ? _mm256_setzero_ps() : _mm256_load_ps(to.acc[t] + kHalfRows * half);
    }
  }
  for (int i = 0; i < range.count; ++i) {
    const std::ptrdiff_t g = range.begin + i;
    __m256i sums[kTokens][kHalves];
    dot_group<kTokens>(chunk.codes[i], input.codes + g * kGroupSize, input.k_padded, sums);
#pragma GCC unroll 4
    for (int t = 0; t < kTokens; ++t) {
      __m256 x = _mm256_setzero_ps();
      if constexpr (kFormat == WeightFormat::kQ4_1) {
        x = _mm256_cvtepi32_ps(_mm256_set1_epi32(input.sums[t * input.groups + g]));
      }
#pragma GCC unroll 2
      for (int half = 0; half < kHalves; ++half) {
        __m256 scale = chunk.d[i][half];
        __m256 minimum = chunk.m[i][half];
        if constexpr (kBits == 8) {
          const __m256 s = _mm256_set1_ps(input.scales[t * input.runs + g]);
          scale = _mm256_mul_ps(scale, s);
          minimum = _mm256_mul_ps(minimum, s);
        }
        acc[t][half] = _mm256_fmadd_ps(_mm256_cvtepi32_ps(sums[t][half]), scale, acc[t][half]);
        if constexpr (kFormat == WeightFormat::kQ4_1) {
          acc[t][half] = _mm256_fmadd_ps(x, minimum, acc[t][half]);
        }
      }
    }
  }
  if (range.closes) return close_segment<kBits, kTokens>(acc, range, input, to);
#pragma GCC unroll 4
  for (int t = 0; t < kTokens; ++t) {
    _mm256_store_ps(to.acc[t], acc[t][0]);
    _mm256_store_ps(to.acc[t] + kHalfRows, acc[t][1]);
  }
}

template <WeightFormat kFormat, int kBits>
class BlockLinear {
 public:
  explicit BlockLinear(const LinearArgs& args) : args_(args) {}

  void run() {
    const int block = block_tokens();
    for (int first = 0; first < args_.input.num_tokens; first += block) {
      first_ = first;
      count_ = std::min(block, args_.input.num_tokens - first);
      widen_block();
      for (int panel = args_.panel_begin; panel < args_.panel_end; ++panel) run_panel(panel);
    }
  }

 private:
  int block_tokens() const { return std::min(kMaxTokens, kBlockCodes / args_.input.k_padded); }

  void widen_block() {
    const InputTile input = tile_of(args_.input, first_);
    for (int t = 0; t < count_; ++t) {
      for (std::ptrdiff_t k = t * input.k_padded; k < (t + 1) * input.k_padded; k += kGroupSize) {
        widen_codes<kBits>(kBits == 16 ? input.hi + k : nullptr, input.lo + k, tokens_.codes + k);
      }
    }
  }

  void run_panel(int panel) {
    const std::uint8_t* group = args_.weight.panel(panel);
    const int num_groups = args_.weight.groups();
    const int segment = args_.input.segment_groups;
    for (int s = 0, begin = 0; begin < num_groups; ++s, begin += segment) {
      const int end = std::min(num_groups, begin + segment);
      for (int g = begin; g < end; g += kChunkGroups) {
        const int count = std::min(kChunkGroups, end - g);
        unpack<kFormat>(group, count, &chunk_);
        group += static_cast<std::ptrdiff_t>(count) *
                 static_cast<std::ptrdiff_t>(p16_group_bytes(kFormat));
        add_tiles(panel, {g, count, s, g == begin, g + count == end, s > 0 || args_.accumulate});
      }
    }
  }

  void add_tiles(int panel, const ChunkRange& range) {
    int t = 0;
    for (; t + kTile <= count_; t += kTile) add_tile<kTile>(t, panel, range);
    if (count_ - t == 3) add_tile<3>(t, panel, range);
    if (count_ - t == 2) add_tile<2>(t, panel, range);
    if (count_ - t == 1) add_tile<1>(t, panel, range);
  }

  template <int kTokens>
  void add_tile(int token, int panel, const ChunkRange& range) {
    const WideTile input{tile_of(args_.input, first_ + token),
                         tokens_.codes + static_cast<std::ptrdiff_t>(token) * args_.input.k_padded};
    const std::ptrdiff_t stride = args_.output_stride;
    float* output = args_.output + (first_ + token) * stride + std::ptrdiff_t{panel} * kPanelRows;
    add_chunk<kFormat, kBits, kTokens>(chunk_, range, input, {tokens_.acc + token, output, stride});
  }

  const LinearArgs& args_;
  int first_ = 0;  // Of the block of tokens at work.
  int count_ = 0;
  TokenBlock tokens_;
  PanelChunk chunk_;
};

template <WeightFormat kFormat>
bool run(const LinearArgs& args) {
  if (args.input.bits == 16) {
    BlockLinear<kFormat, 16>(args).run();
    return true;
  }
  if constexpr (kFormat == WeightFormat::kQ8_0) {
    BlockLinear<kFormat, 8>(args).run();
    return true;
  }
  return false;  // Bytes meet bytes in linear.cc, twice as many at once.
}

}  // namespace

bool linear_block(const LinearArgs& args) {
  if (args.input.num_tokens < kTile || args.input.k_padded > kBlockCodes / kTile) return false;
  switch (args.weight.format) {
    case WeightFormat::kQ4_0:
      return run<WeightFormat::kQ4_0>(args);
    case WeightFormat::kQ4_1:
      return run<WeightFormat::kQ4_1>(args);
    case WeightFormat::kQ8_0:
      return run<WeightFormat::kQ8_0>(args);
    case WeightFormat::kF32:
      return false;
  }
  return false;
}

}  // namespace lockstep::kernels::avx2
