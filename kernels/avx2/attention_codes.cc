#include "kernels/avx2/attention_codes.h"

#include <cstddef>

#include "kernels/avx2/vector.h"
#include "kernels/kv_layout.h"
#include "kernels/ops.h"

namespace lockstep::kernels::avx2 {
namespace {

constexpr int kCodes = 16;  // 16-bit codes in a vector.
constexpr int kLineBytes = 64;

inline __m256i load(const void* codes) {
  return _mm256_loadu_si256(static_cast<const __m256i*>(codes));
}

inline __m256i load_codes(const std::int16_t* codes) { return load(codes); }

inline __m256i load_codes(const std::int8_t* codes) {
  return _mm256_cvtepi8_epi16(_mm_loadu_si128(reinterpret_cast<const __m128i*>(codes)));
}

inline void store(__m256i vector, void* codes) {
  _mm256_storeu_si256(static_cast<__m256i*>(codes), vector);
}

void unpack_words(const std::int16_t* words, int count, std::int16_t* codes) {
  const __m256i low = _mm256_set1_epi16(0x000f);
  const __m256i middle = _mm256_set1_epi16(0x00f0);
  for (int i = 0; i < count; i += kPackedCodes) {
    const __m256i a = load(words);
    const __m256i b = load(words + kCodes);
    const __m256i c = load(words + 2 * kCodes);
    store(_mm256_srai_epi16(a, 4), codes + i);
    store(_mm256_srai_epi16(b, 4), codes + i + kCodes);
    store(_mm256_srai_epi16(c, 4), codes + i + 2 * kCodes);
    const __m256i lower = _mm256_or_si256(_mm256_and_si256(a, low),
                                          _mm256_and_si256(_mm256_slli_epi16(b, 4), middle));
    const __m256i upper = _mm256_srai_epi16(_mm256_slli_epi16(c, 12), 4);
    store(_mm256_or_si256(lower, upper), codes + i + 3 * kCodes);
    words += kPackedWords;
  }
}

// Bytes of one channel's codes of all slots.
template <typename Code>
constexpr int kChannelBytes = sizeof(Code) == 2 ? 24 : 16;

// Fetches a part of what is needed next: as many bytes as `channels` channels have, from `channel`
// on.
template <typename Code>
inline void fetch(const char* next, int channel, int channels) {
  if (next == nullptr) return;
  const char* from = next + channel * kChannelBytes<Code>;
#pragma GCC unroll 6
  for (int i = 0; i < channels * kChannelBytes<Code>; i += kLineBytes) {
    _mm_prefetch(from + i, _MM_HINT_T0);
  }
}

// What is fetched while the b-th block is read.
inline const char* next_of(const CodeRun& run, int b) {
  return run.next == nullptr ? nullptr : run.next[b];
}

// A tile's products with the keys of the b-th KV block.
template <typename Code, int kQueries>
[[gnu::noinline]] void score_tile(const ScoreArgs& args, const Code* keys, int b, int first) {
  __m256i sums[kQueries][2] = {};
  const std::int16_t* queries =
      args.queries + static_cast<std::ptrdiff_t>(first) * args.query_stride;
  const char* next = first == 0 ? next_of(args.keys, b) : nullptr;
  for (int d = 0; d < args.keys.head_size; d += 8) {
    fetch<Code>(next, d, 8);
#pragma GCC unroll 4
    for (int j = 0; j < 4; ++j) {
      const __m256i low = load_codes(keys + kCodes * j);
      const __m256i high = load_codes(keys + kCodes * (4 + j));
#pragma GCC unroll 4
      for (int q = 0; q < kQueries; ++q) {
        const __m256i pair = broadcast_word(
            queries + static_cast<std::ptrdiff_t>(q) * args.query_stride + d + 2 * j);
        sums[q][0] = _mm256_add_epi32(sums[q][0], _mm256_madd_epi16(low, pair));
        keep_order(sums[q][0]);
        sums[q][1] = _mm256_add_epi32(sums[q][1], _mm256_madd_epi16(high, pair));
        keep_order(sums[q][1]);
      }
    }
    keys += 8 * kCodes;
  }
#pragma GCC unroll 4
  for (int q = 0; q < kQueries; ++q) {
    std::int32_t* isum =
        args.isum + static_cast<std::ptrdiff_t>(first + q) * args.isum_stride + b * kKvBlockTokens;
    store(sums[q][0], isum);
    store(sums[q][1], isum + kWidth);
  }
}

// The values of some KV blocks as codes of one width, from the first-th block of the run on.
template <typename Code>
struct Values {
  const Code* const* codes;
  int first;
  int num_blocks;
};

// Channels [channel, channel + 16).
template <typename Code, int kQueries>
inline void weigh_tile(const WeighArgs& args, const Values<Code>& values, int first, int channel) {
  std::int32_t* isum = args.isum + static_cast<std::ptrdiff_t>(first) * args.isum_stride + channel;
  const std::int16_t* weights = args.weights +
                                static_cast<std::ptrdiff_t>(first) * args.weight_stride +
                                values.first * kKvBlockTokens;
  __m256i sums[kQueries][2];
#pragma GCC unroll 4
  for (int q = 0; q < kQueries; ++q) {
    sums[q][0] = load(isum + static_cast<std::ptrdiff_t>(q) * args.isum_stride);
    sums[q][1] = load(isum + static_cast<std::ptrdiff_t>(q) * args.isum_stride + kWidth);
  }
  // Unpacked codes are of one KV block: a loop that the compiler does not know to end at once costs
  // a third.
  const int num_blocks = sizeof(Code) == 2 ? 1 : values.num_blocks;
  for (int b = 0; b < num_blocks; ++b) {
    if (first == 0) fetch<Code>(next_of(args.values, values.first + b), channel, kCodes);
    const Code* codes = values.codes[b] + static_cast<std::ptrdiff_t>(2) * channel;
#pragma GCC unroll 8
    for (int pair = 0; pair < kKvBlockTokens / 2; ++pair) {
      const __m256i low = load_codes(codes);
      const __m256i high = load_codes(codes + kCodes);
#pragma GCC unroll 4
      for (int q = 0; q < kQueries; ++q) {
        const __m256i two = broadcast_word(
            weights + static_cast<std::ptrdiff_t>(q) * args.weight_stride + 2 * pair);
        sums[q][0] = _mm256_add_epi32(sums[q][0], _mm256_madd_epi16(low, two));
        keep_order(sums[q][0]);
        sums[q][1] = _mm256_add_epi32(sums[q][1], _mm256_madd_epi16(high, two));
        keep_order(sums[q][1]);
      }
      codes += 2 * padded_head_size(args.values.head_size);
    }
    weights += kKvBlockTokens;
  }
#pragma GCC unroll 4
  for (int q = 0; q < kQueries; ++q) {
    store(sums[q][0], isum + static_cast<std::ptrdiff_t>(q) * args.isum_stride);
    store(sums[q][1], isum + static_cast<std::ptrdiff_t>(q) * args.isum_stride + kWidth);
  }
}

template <typename Code, int kQueries>
[[gnu::noinline]] void weigh_channels(const WeighArgs& args, const Values<Code>& values,
                                      int first) {
  for (int d = 0; d < args.values.head_size; d += kCodes) {
    weigh_tile<Code, kQueries>(args, values, first, d);
  }
}

// Queries in the next tile: one to four, and one alone only where there is no other.
int tile_size(int left) { return left >= 7 || left == 4 ? 4 : left < 3 ? left : 3; }

template <typename Code>
void score(const ScoreArgs& args, const Code* keys, int b) {
  for (int first = 0; first < args.num_queries;) {
    const int size = tile_size(args.num_queries - first);
    if (size == 4) score_tile<Code, 4>(args, keys, b, first);
    if (size == 3) score_tile<Code, 3>(args, keys, b, first);
    if (size == 2) score_tile<Code, 2>(args, keys, b, first);
    if (size == 1) score_tile<Code, 1>(args, keys, b, first);
    first += size;
  }
}

template <typename Code>
void weigh(const WeighArgs& args, const Values<Code>& values) {
  for (int first = 0; first < args.num_queries;) {
    const int size = tile_size(args.num_queries - first);
    if (size == 4) weigh_channels<Code, 4>(args, values, first);
    if (size == 3) weigh_channels<Code, 3>(args, values, first);
    if (size == 2) weigh_channels<Code, 2>(args, values, first);
    if (size == 1) weigh_channels<Code, 1>(args, values, first);
    first += size;
  }
}

const std::int8_t* bytes(const char* codes) { return reinterpret_cast<const std::int8_t*>(codes); }

void unpack_block(const CodeRun& run, int b, std::int16_t* codes) {
  unpack_words(reinterpret_cast<const std::int16_t*>(run.codes[b]),
               kKvBlockTokens * padded_head_size(run.head_size), codes);
}

}  // namespace

void score_keys(const ScoreArgs& args) {
  alignas(32) std::int16_t keys[kKvBlockTokens * kMaxHeadSize];
  for (int b = 0; b < args.keys.num_blocks; ++b) {
    if (args.keys.kv_bits == 8) {
      score(args, bytes(args.keys.codes[b]), b);
    } else {
      unpack_block(args.keys, b, keys);
      score<std::int16_t>(args, keys, b);
    }
  }
}

void weigh_values(const WeighArgs& args) {
  const CodeRun& run = args.values;
  if (run.kv_bits == 8) {
    const std::int8_t* codes[kAttentionBlock / kKvBlockTokens];
    for (int b = 0; b < run.num_blocks; ++b) codes[b] = bytes(run.codes[b]);
    return weigh<std::int8_t>(args, {codes, 0, run.num_blocks});
  }
  alignas(32) std::int16_t unpacked[kKvBlockTokens * kMaxHeadSize];
  const std::int16_t* codes = unpacked;
  for (int b = 0; b < run.num_blocks; ++b) {
    unpack_block(run, b, unpacked);
    weigh<std::int16_t>(args, {&codes, b, 1});
  }
}

}  // namespace lockstep::kernels::avx2
