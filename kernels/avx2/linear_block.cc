// The quantized linear for several tokens. Weights and activations meet as 16-bit numbers in
// `vpmaddwd`: eight rows' codes are widened in registers and multiplied with all tokens of a tile
// before the next ones are read. Every lane is a row, as in linear.cc.
#include <algorithm>
#include <cstddef>
#include <type_traits>

#include "kernels/avx2/avx2.h"
#include "kernels/avx2/linear_parts.h"
#include "kernels/avx2/vector.h"

namespace lockstep::kernels::avx2 {
namespace {

constexpr int kMinTile = 4;  // Tokens whose integer sums are in registers at once.
constexpr int kMaxTile = 10;
constexpr int kMaxTokens = 64;           // Of a block.
constexpr int kBlockCodes = 128 * 1024;  // 16-bit codes of a block of tokens: second-level cache.

// What an integer sum needs besides the products: the sum of the activations, which q4_1 multiplies
// with the minimums; the other formats start from minus the offset times it.
template <WeightFormat kFormat>
using Correction = std::conditional_t<kFormat == WeightFormat::kQ4_1, float, std::int32_t>;

// Some consecutive tokens, group by group, so that one pointer reaches them all.
template <WeightFormat kFormat>
struct WideTile {
  const std::int16_t* codes;               // [group][token][32], in the order of widen_codes().
  const Correction<kFormat>* corrections;  // [group][token]
  const float* scales;                     // 8-bit activations: [group][token]
};

// Products of a vector of codes, pairs of each row, with the pairs of all tokens at `x`.
template <int kTokens>
inline __attribute__((always_inline)) void add_products(__m256i codes, const std::int16_t* x,
                                                        __m256i (&sums)[kTokens]) {
#pragma GCC unroll 16
  for (int t = 0; t < kTokens; ++t) {
    const __m256i pair = broadcast_word(x + t * kGroupSize);
    sums[t] = _mm256_add_epi32(sums[t], _mm256_madd_epi16(codes, pair));
    keep_order(sums[t]);
  }
}

// One group's products of 8 rows.
template <WeightFormat kFormat, int kTokens>
inline __attribute__((always_inline)) void dot_rows(const std::uint8_t* codes,
                                                    const std::int16_t* x,
                                                    __m256i (&sums)[kTokens]) {
  if constexpr (kFormat == WeightFormat::kQ8_0) {
    const __m256i mask = _mm256_set1_epi16(255);
#pragma GCC unroll 16
    for (int j = 0; j < 8; ++j) {
      const __m256i block = load_codes(codes + kCodeBlockBytes * j);
      add_products(_mm256_and_si256(block, mask), x + 4 * j, sums);
      add_products(_mm256_srli_epi16(block, 8), x + 4 * j + 2, sums);
    }
  } else {
    const __m256i mask = _mm256_set1_epi16(15);
    const auto nibble = [mask](__m256i words) { return _mm256_and_si256(words, mask); };
#pragma GCC unroll 4
    for (int j = 0; j < 4; ++j) {
      const __m256i block = load_codes(codes + kCodeBlockBytes * j);
      add_products(nibble(block), x + 4 * j, sums);
      add_products(nibble(_mm256_srli_epi16(block, 8)), x + 4 * j + 2, sums);
      add_products(nibble(_mm256_srli_epi16(block, 4)), x + 4 * j + 16, sums);
      add_products(_mm256_srli_epi16(block, 12), x + 4 * j + 18, sums);
    }
  }
}

// Adds groups [begin, end) of a panel, the first at `group`, to the sums of 16 rows. Those are
// in memory: the registers are full of integers.
template <WeightFormat kFormat, int kBits, int kTokens>
__attribute__((noinline)) void add_groups(const std::uint8_t* group, int begin, int end,
                                          const WideTile<kFormat>& input,
                                          float (*acc)[kPanelRows]) {
  const std::int16_t* x = input.codes + std::ptrdiff_t{begin} * kTokens * kGroupSize;
  const Correction<kFormat>* correction = input.corrections + std::ptrdiff_t{begin} * kTokens;
  const float* scales = kBits == 8 ? input.scales + std::ptrdiff_t{begin} * kTokens : nullptr;
  for (int g = begin; g < end; ++g) {
    prefetch_group<kFormat>(group + kPrefetchBytes);
    for (int row = 0; row < kPanelRows; row += kHalfRows) {
      __m256i sums[kTokens];
#pragma GCC unroll 16
      for (int t = 0; t < kTokens; ++t) {
        if constexpr (kFormat == WeightFormat::kQ4_1) {
          sums[t] = _mm256_setzero_si256();
        } else {
          sums[t] = _mm256_set1_epi32(correction[t]);
        }
      }
      dot_rows<kFormat, kTokens>(group + p16_codes_offset(kFormat) + 4 * row, x, sums);
      const __m256 d = load_halves(group + 2 * row);
      [[maybe_unused]] __m256 m;
      if constexpr (kFormat == WeightFormat::kQ4_1) {
        m = load_halves(group + 2 * kPanelRows + 2 * row);
      }
#pragma GCC unroll 16
      for (int t = 0; t < kTokens; ++t) {
        float* sum = acc[t] + row;
        __m256 scale = d;
        if constexpr (kBits == 8) scale = _mm256_mul_ps(d, _mm256_set1_ps(scales[t]));
        __m256 p = _mm256_fmadd_ps(_mm256_cvtepi32_ps(sums[t]), scale, _mm256_load_ps(sum));
        if constexpr (kFormat == WeightFormat::kQ4_1) {
          p = _mm256_fmadd_ps(_mm256_set1_ps(correction[t]), m, p);
        }
        _mm256_store_ps(sum, p);
      }
    }
    group += p16_group_bytes(kFormat);
    x += kTokens * kGroupSize;
    correction += kTokens;
    if constexpr (kBits == 8) scales += kTokens;
  }
}

template <WeightFormat kFormat, int kBits>
class BlockLinear {
 public:
  explicit BlockLinear(const LinearArgs& args) : args_(args) {}

  void run() {
    const int tokens = args_.input.num_tokens;
    const int most = std::min(kMaxTokens, kBlockCodes / args_.input.k_padded);
    const int blocks = (tokens + most - 1) / most;
    for (int b = 0; b < blocks; ++b) {
      first_ = share_begin(tokens, b, blocks);
      count_ = share_begin(tokens, b + 1, blocks) - first_;
      widen_block();
      for (int panel = args_.panel_begin; panel < args_.panel_end; ++panel) run_panel(panel);
    }
  }

 private:
  static int share_begin(int count, int index, int shares) { return count * index / shares; }

  // Calls function(first token in the block, tokens) for tiles of nearly equal size.
  template <typename Function>
  void for_each_tile(Function&& function) const {
    const int tiles = (count_ + kMaxTile - 1) / kMaxTile;
    for (int i = 0; i < tiles; ++i) {
      const int begin = share_begin(count_, i, tiles);
      function(begin, share_begin(count_, i + 1, tiles) - begin);
    }
  }

  void widen_block() {
    for_each_tile([this](int begin, int tokens) {
      for (int t = 0; t < tokens; ++t) widen_token(begin, tokens, t);
    });
  }

  void widen_token(int begin, int tokens, int t) {
    const InputTile input = tile_of(args_.input, first_ + begin + t);
    const std::ptrdiff_t first = begin * input.groups + t;
    for (std::ptrdiff_t g = 0; g < input.groups; ++g) {
      const std::ptrdiff_t k = g * kGroupSize;
      const std::ptrdiff_t to = first + g * tokens;
      widen_codes<kBits>(kBits == 16 ? input.hi + k : nullptr, input.lo + k,
                         codes_ + to * kGroupSize);
      if constexpr (kFormat == WeightFormat::kQ4_1) {
        corrections_[to] = static_cast<float>(input.sums[g]);
      } else {
        corrections_[to] = -offset_of(kFormat) * input.sums[g];
      }
      if constexpr (kBits == 8) scales_[to] = input.scales[g];
    }
  }

  void run_panel(int panel) {
    for_each_tile([this, panel](int begin, int tokens) {
      switch (tokens) {
        case 4:
          return run_tile<4>(panel, begin);
        case 5:
          return run_tile<5>(panel, begin);
        case 6:
          return run_tile<6>(panel, begin);
        case 7:
          return run_tile<7>(panel, begin);
        case 8:
          return run_tile<8>(panel, begin);
        case 9:
          return run_tile<9>(panel, begin);
        default:
          return run_tile<10>(panel, begin);
      }
    });
  }

  template <int kTokens>
  void run_tile(int panel, int token) {
    const Activations& from = args_.input;
    const std::ptrdiff_t first = std::ptrdiff_t{token} * from.groups();
    const WideTile<kFormat> input{codes_ + first * kGroupSize, corrections_ + first,
                                  scales_ + (kBits == 8 ? first : 0)};
    const std::uint8_t* group = args_.weight.panel(panel);
    float* output = args_.output + std::ptrdiff_t{first_ + token} * args_.output_stride +
                    std::ptrdiff_t{panel} * kPanelRows;
    const float* scales =
        from.scales + (kBits == 16 ? std::ptrdiff_t{first_ + token} * from.num_segments() : 0);
    for (int s = 0, begin = 0; begin < from.groups(); ++s, begin += from.segment_groups) {
      const int end = std::min(from.groups(), begin + from.segment_groups);
      alignas(32) float acc[kTokens][kPanelRows] = {};
      add_groups<kFormat, kBits, kTokens>(group, begin, end, input, acc);
      group += static_cast<std::size_t>(end - begin) * p16_group_bytes(kFormat);
      for (int t = 0; t < kTokens; ++t) {
        const float scale = kBits == 16 ? scales[t * from.num_segments() + s] : 1.0F;
        close_segment(acc[t], scale, s > 0 || args_.accumulate, output + t * args_.output_stride);
      }
    }
  }

  static void close_segment(const float* acc, float scale, bool fold, float* output) {
    for (int row = 0; row < kPanelRows; row += kHalfRows) {
      __m256 p = _mm256_load_ps(acc + row);
      if constexpr (kBits == 16) p = _mm256_mul_ps(p, _mm256_set1_ps(scale));
      if (fold) p = _mm256_add_ps(_mm256_loadu_ps(output + row), p);
      _mm256_storeu_ps(output + row, p);
    }
  }

  const LinearArgs& args_;
  int first_ = 0;  // Of the block of tokens at work.
  int count_ = 0;
  alignas(32) std::int16_t codes_[kBlockCodes];  // Tile by tile; in each [group][token][32].
  Correction<kFormat> corrections_[kBlockCodes / kGroupSize];
  float scales_[kBits == 8 ? kBlockCodes / kGroupSize : 1];
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
  if (args.input.num_tokens < kMinTile || args.input.k_padded > kBlockCodes / kMaxTile)
    return false;
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
