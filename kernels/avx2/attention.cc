// Attention with 256-bit vectors. The query heads of a key/value head go over each block of 128
// positions together, while its keys and values are in the first-level cache.
#include <cstddef>

#include "base/check.h"
#include "kernels/avx2/avx2.h"
#include "kernels/avx2/head_codes.h"
#include "kernels/avx2/vector.h"
#include "kernels/canonical_exp.h"
#include "kernels/reference/primitives.h"
#include "kernels/reference/reference.h"

namespace lockstep::kernels::avx2 {
namespace {

constexpr int kAttentionBlock = 128;  // Positions that share one maximum and one scale.
constexpr int kCodes = 16;            // 16-bit codes in a vector.
constexpr int kMaxGroup = 8;          // Query heads that are computed together.

// The softmax state of a run of positions; its weighted values lie elsewhere.
struct Softmax {
  float m;  // Maximum of the scores.
  float l;  // Sum of exponentials.
};

struct Query {
  alignas(32) std::int16_t codes[kMaxHeadSize];
  float scale;        // sq
  float score_scale;  // Of all scores.
  Softmax folded;     // Of the blocks so far; their weighted values are in the output.
};

// Keys, values and scales of the positions of one block and one key/value head.
template <typename Code>
struct CacheBlock {
  const Code*
      keys[kAttentionBlock];  // [head_size] each; behind the last position: the last position's.
  const Code* values[kAttentionBlock];
  alignas(32) float key_scales[kAttentionBlock];  // 0 behind the last position.
  alignas(32) float value_scales[kAttentionBlock];
  int count;
};

template <typename Code>
void find_block(const AttentionArgs& args, int kv_head, int begin, CacheBlock<Code>* block) {
  const KvCacheView& cache = args.cache;
  const int left = args.position + 1 - begin;
  block->count = left < kAttentionBlock ? left : kAttentionBlock;
  for (int i = 0; i < kAttentionBlock; i += kKvBlockTokens) {
    const int in_use = block->count - i;  // Positions of this KV block, if at most 16.
    const int position = begin + (in_use > 0 ? i : block->count - 1);
    const std::ptrdiff_t kv_block = args.block_table[position / kKvBlockTokens];
    const std::ptrdiff_t row = (kv_block * cache.num_kv_heads + kv_head) * kKvBlockTokens;
    const std::ptrdiff_t first = row * cache.head_size;
    const int last = in_use > 0 ? in_use - 1 : position % kKvBlockTokens;
    for (int slot = 0; slot < kKvBlockTokens; ++slot) {
      const std::ptrdiff_t code =
          first + static_cast<std::ptrdiff_t>(slot < last ? slot : last) * cache.head_size;
      block->keys[i + slot] = static_cast<const Code*>(cache.keys) + code;
      block->values[i + slot] = static_cast<const Code*>(cache.values) + code;
    }
    for (int slot = 0; slot < kKvBlockTokens; slot += kWidth) {
      const __m256i valid = first_lanes(in_use - slot);
      _mm256_store_ps(block->key_scales + i + slot,
                      _mm256_maskload_ps(cache.key_scales + row + slot, valid));
      _mm256_store_ps(block->value_scales + i + slot,
                      _mm256_maskload_ps(cache.value_scales + row + slot, valid));
    }
  }
}

inline __m256i load_codes(const std::int16_t* codes) {
  return _mm256_loadu_si256(reinterpret_cast<const __m256i*>(codes));
}

inline __m256i load_codes(const std::int8_t* codes) {
  return _mm256_cvtepi8_epi16(_mm_loadu_si128(reinterpret_cast<const __m128i*>(codes)));
}

// Products of a query with the keys of eight positions.
template <typename Code>
__m256i dot_keys(const std::int16_t* query, const Code* const* keys, int head_size) {
  __m256i sums[8] = {};
  for (int d = 0; d < head_size; d += kCodes) {
    const __m256i q = load_codes(query + d);
#pragma GCC unroll 8
    for (int i = 0; i < 8; ++i) {
      sums[i] = _mm256_add_epi32(sums[i], _mm256_madd_epi16(q, load_codes(keys[i] + d)));
      keep_order(sums[i]);
    }
  }
  const __m256i a =
      _mm256_hadd_epi32(_mm256_hadd_epi32(sums[0], sums[1]), _mm256_hadd_epi32(sums[2], sums[3]));
  const __m256i b =
      _mm256_hadd_epi32(_mm256_hadd_epi32(sums[4], sums[5]), _mm256_hadd_epi32(sums[6], sums[7]));
  return _mm256_add_epi32(_mm256_permute2x128_si256(a, b, 0x20),
                          _mm256_permute2x128_si256(a, b, 0x31));
}

// Steps 1 and 2: p[i] = exp(score - m), 0 behind the last position.
template <typename Code>
Softmax softmax_block(const Query& query, const CacheBlock<Code>& block, int head_size, float* p) {
  const __m256 none = _mm256_set1_ps(-__builtin_inff());
  __m256 largest = none;
  for (int i = 0; i < block.count; i += kWidth) {
    const __m256i isum = dot_keys(query.codes, block.keys + i, head_size);
    const __m256 scale =
        _mm256_mul_ps(_mm256_set1_ps(query.scale), _mm256_load_ps(block.key_scales + i));
    __m256 score = _mm256_mul_ps(_mm256_mul_ps(_mm256_cvtepi32_ps(isum), scale),
                                 _mm256_set1_ps(query.score_scale));
    const __m256 valid = _mm256_castsi256_ps(first_lanes(block.count - i));
    score = _mm256_blendv_ps(none, score, valid);
    largest = _mm256_max_ps(score, largest);
    _mm256_store_ps(p + i, score);
  }
  const float m = largest_lane(largest);
  __m256 lanes[8] = {};
  for (int i = 0; i < block.count; i += kWidth) {
    const __m256 e = exp(_mm256_sub_ps(_mm256_load_ps(p + i), _mm256_set1_ps(m)));
    const __m256 valid = _mm256_castsi256_ps(first_lanes(block.count - i));
    const __m256 exponential = _mm256_and_ps(e, valid);
    __m256& lane = lanes[i / kWidth % 8];
    lane = _mm256_add_ps(lane, exponential);
    _mm256_store_ps(p + i, exponential);
  }
  return {m, tree_sum(lanes)};
}

// Sums of kVectors * 16 channels from `first` on over all positions: two positions at a time, whose
// values are interleaved so that one instruction multiplies both and adds.
template <typename Code, int kVectors>
void dot_values(const CacheBlock<Code>& block, const std::int16_t* codes, int first, float factor,
                float* o) {
  __m256i sums[kVectors][2] = {};
  for (int i = 0; i < block.count; i += 2) {
    const __m256i pair = broadcast_word(codes + i);
#pragma GCC unroll 4
    for (int j = 0; j < kVectors; ++j) {
      const __m256i a = load_codes(block.values[i] + first + kCodes * j);
      const __m256i b = load_codes(block.values[i + 1] + first + kCodes * j);
      sums[j][0] =
          _mm256_add_epi32(sums[j][0], _mm256_madd_epi16(_mm256_unpacklo_epi16(a, b), pair));
      keep_order(sums[j][0]);
      sums[j][1] =
          _mm256_add_epi32(sums[j][1], _mm256_madd_epi16(_mm256_unpackhi_epi16(a, b), pair));
      keep_order(sums[j][1]);
    }
  }
#pragma GCC unroll 4
  for (int j = 0; j < kVectors; ++j) {
    const __m256i low = _mm256_permute2x128_si256(sums[j][0], sums[j][1], 0x20);
    const __m256i high = _mm256_permute2x128_si256(sums[j][0], sums[j][1], 0x31);
    float* channels = o + first + kCodes * j;
    const __m256 scale = _mm256_set1_ps(factor);
    _mm256_storeu_ps(channels, _mm256_mul_ps(_mm256_cvtepi32_ps(low), scale));
    _mm256_storeu_ps(channels + kWidth, _mm256_mul_ps(_mm256_cvtepi32_ps(high), scale));
  }
}

// Step 3: the weighted sum of the values. `p` is overwritten.
template <typename Code>
void weigh_values(const CacheBlock<Code>& block, int head_size, float* p, float* o) {
  const float limit = sizeof(Code) == 2 ? 4095.0f : 255.0f;  // Lp
  __m256 largest = _mm256_setzero_ps();
  for (int i = 0; i < block.count; i += kWidth) {
    const __m256 pv = _mm256_mul_ps(_mm256_load_ps(p + i), _mm256_load_ps(block.value_scales + i));
    largest = _mm256_max_ps(pv, largest);
    _mm256_store_ps(p + i, pv);
  }
  const float c = largest_lane(largest);
  const __m256 inverse = _mm256_set1_ps(c < 0x1p-100f ? 0.0f : limit / c);
  alignas(32) std::int16_t codes[kAttentionBlock];
  for (int i = 0; i < block.count; i += 2 * kWidth) {
    const __m256i low = _mm256_cvtps_epi32(_mm256_mul_ps(_mm256_load_ps(p + i), inverse));
    const __m256i high = _mm256_cvtps_epi32(_mm256_mul_ps(_mm256_load_ps(p + i + kWidth), inverse));
    const __m256i packed = _mm256_permute4x64_epi64(_mm256_packs_epi32(low, high), 0xd8);
    _mm256_store_si256(reinterpret_cast<__m256i*>(codes + i), packed);
  }
  int d = 0;
  for (; d + 4 * kCodes <= head_size; d += 4 * kCodes) {
    dot_values<Code, 4>(block, codes, d, c / limit, o);
  }
  for (; d < head_size; d += kCodes) dot_values<Code, 1>(block, codes, d, c / limit, o);
}

// Step 4: folds a block's softmax and `o` to the right of `a` and `output`.
void fold(const Softmax& b, const float* o, int head_size, Softmax* a, float* output) {
  const float largest = a->m > b.m ? a->m : b.m;
  const float ea = canonical_exp(a->m - largest);
  const float eb = canonical_exp(b.m - largest);
  for (int d = 0; d < head_size; d += kWidth) {
    const __m256 left = _mm256_mul_ps(_mm256_loadu_ps(output + d), _mm256_set1_ps(ea));
    _mm256_storeu_ps(output + d, _mm256_fmadd_ps(_mm256_loadu_ps(o + d), _mm256_set1_ps(eb), left));
  }
  a->l = __builtin_fmaf(b.l, eb, a->l * ea);
  a->m = largest;
}

// Query heads [head, head + count), all of one key/value head.
template <typename Code>
bool attend(const AttentionArgs& args, int head, int count, int kv_head, float score_scale) {
  const int head_size = args.cache.head_size;
  const std::ptrdiff_t first = static_cast<std::ptrdiff_t>(head) * head_size;
  Query queries[kMaxGroup];
  for (int h = 0; h < count; ++h) {
    const HeadCodes from{args.queries + first + static_cast<std::ptrdiff_t>(h) * head_size,
                         head_size, args.cache.kv_bits, true};
    if (!store_head(from, queries[h].codes, &queries[h].scale)) return false;
    queries[h].score_scale = score_scale;
  }
  CacheBlock<Code> block;
  for (int begin = 0; begin <= args.position; begin += kAttentionBlock) {
    find_block(args, kv_head, begin, &block);
    for (int h = 0; h < count; ++h) {
      float* output = args.output + first + static_cast<std::ptrdiff_t>(h) * head_size;
      alignas(32) float p[kAttentionBlock] = {};
      const Softmax softmax = softmax_block(queries[h], block, head_size, p);
      if (begin == 0) {
        weigh_values(block, head_size, p, output);
        queries[h].folded = softmax;
        continue;
      }
      alignas(32) float o[kMaxHeadSize];
      weigh_values(block, head_size, p, o);
      fold(softmax, o, head_size, &queries[h].folded, output);
    }
  }
  for (int h = 0; h < count; ++h) {
    float* output = args.output + first + static_cast<std::ptrdiff_t>(h) * head_size;
    for (int d = 0; d < head_size; d += kWidth) {
      _mm256_storeu_ps(output + d, _mm256_div_ps(_mm256_loadu_ps(output + d),
                                                 _mm256_set1_ps(queries[h].folded.l)));
    }
  }
  return true;
}

}  // namespace

bool attention(const AttentionArgs& args) {
  const int head_size = args.cache.head_size;
  if (head_size % kHeadMultiple != 0) return reference::attention(args);
  CHECK(head_size > 0 && head_size <= kMaxHeadSize, "head size out of range");
  const bool wide = args.cache.kv_bits == 16;
  float score_scale = static_cast<float>(1.0 / __builtin_sqrt(static_cast<double>(head_size)));
  if (!wide) score_scale /= static_cast<float>(reference::rotation_block(head_size));

  int kv_head = args.first_kv_head;
  int left = args.first_group_left;  // Query heads that still use kv_head.
  for (int head = 0; head < args.num_heads;) {
    if (left == 0) {
      ++kv_head;
      left = args.query_group;
    }
    int count = args.num_heads - head < left ? args.num_heads - head : left;
    count = count < kMaxGroup ? count : kMaxGroup;
    const bool finite = wide ? attend<std::int16_t>(args, head, count, kv_head, score_scale)
                             : attend<std::int8_t>(args, head, count, kv_head, score_scale);
    if (!finite) return false;
    head += count;
    left -= count;
  }
  return true;
}

}  // namespace lockstep::kernels::avx2
