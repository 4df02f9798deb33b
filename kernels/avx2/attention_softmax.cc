#include "kernels/avx2/attention_softmax.h"

#include "kernels/avx2/vector.h"
#include "kernels/canonical_exp.h"
#include "kernels/ops.h"

namespace lockstep::kernels::avx2 {
namespace {

inline void keep_order(__m256& v) { asm("" : "+x"(v)); }

constexpr int kVectors = kKvBlockTokens / kWidth;  // Of one KV block.
// From here to 0, exponentials are far from denormal: their exponent is added to as an integer.
constexpr float kNormal = -80.0f;

// canonical_exp of values in [kNormal, 0], and of NaN. Several vectors step by step: the steps of
// one wait for each other, and the processor does not look far enough ahead to find the next ones.
template <int kCount>
inline void exp_of_normal(__m256* x) {
  const __m256 magic = _mm256_set1_ps(0x1.8p23f);  // Rounds to an integer, in its lowest bits.
  __m256 shifted[kCount];
  __m256 q[kCount];
#pragma GCC unroll 4
  for (int i = 0; i < kCount; ++i) {
    shifted[i] = _mm256_add_ps(_mm256_mul_ps(x[i], _mm256_set1_ps(0x1.715476p+0f)), magic);
    const __m256 n = _mm256_sub_ps(shifted[i], magic);
    x[i] = _mm256_fmadd_ps(n, _mm256_set1_ps(-0x1.62e4p-1f), x[i]);
    x[i] = _mm256_fmadd_ps(n, _mm256_set1_ps(-0x1.7f7d1cp-20f), x[i]);
    q[i] = _mm256_set1_ps(0x1.a01a02p-13f);
  }
#pragma GCC unroll 5
  for (const float c : {0x1.6c16c2p-10f, 0x1.111112p-7f, 0x1.555556p-5f, 0x1.555556p-3f, 0.5f}) {
#pragma GCC unroll 4
    for (int i = 0; i < kCount; ++i) {
      q[i] = _mm256_fmadd_ps(q[i], x[i], _mm256_set1_ps(c));
      keep_order(q[i]);
    }
  }
#pragma GCC unroll 4
  for (int i = 0; i < kCount; ++i) {
    const __m256 r = x[i];
    const __m256 p =
        _mm256_add_ps(_mm256_fmadd_ps(_mm256_mul_ps(r, r), q[i], r), _mm256_set1_ps(1.0f));
    const __m256i exponent = _mm256_slli_epi32(_mm256_castps_si256(shifted[i]), 23);
    x[i] = _mm256_castsi256_ps(_mm256_add_epi32(_mm256_castps_si256(p), exponent));
  }
}

inline float smallest_lane(__m256 v) {
  const __m256 sign = _mm256_set1_ps(-0.0f);
  return -largest_lane(_mm256_xor_ps(v, sign));
}

struct Extremes {
  __m256 largest = _mm256_set1_ps(-__builtin_inff());
  __m256 smallest = _mm256_set1_ps(__builtin_inff());
};

// Step 1 for vector i of the block. A masked lane takes no part in the extremes.
template <bool kMasked>
inline void score_vector(const BlockScales& scales, const QueryBlock& query, int i,
                         Extremes* extremes) {
  float* p = query.p + i * kWidth;
  const float* key_scales = scales.keys[i / kVectors] + i % kVectors * kWidth;
  const __m256i isum = _mm256_load_si256(reinterpret_cast<const __m256i*>(p));
  const __m256 scale = _mm256_mul_ps(_mm256_set1_ps(query.scale), _mm256_loadu_ps(key_scales));
  const __m256 score = _mm256_mul_ps(_mm256_mul_ps(_mm256_cvtepi32_ps(isum), scale),
                                     _mm256_set1_ps(scales.score_scale));
  _mm256_store_ps(p, score);
  __m256 low = score;
  __m256 high = score;
  if constexpr (kMasked) {
    const __m256 valid = _mm256_castsi256_ps(first_lanes(query.count - i * kWidth));
    low = _mm256_blendv_ps(_mm256_set1_ps(-__builtin_inff()), score, valid);
    high = _mm256_blendv_ps(_mm256_set1_ps(__builtin_inff()), score, valid);
  }
  // The second operand is kept where the score is NaN.
  extremes->largest = _mm256_max_ps(low, extremes->largest);
  extremes->smallest = _mm256_min_ps(high, extremes->smallest);
}

// Steps 2 and 3 for kCount vectors from the i-th on: the scores become pv, 0 in masked lanes.
// Returns the larger of `largest` and pv.
template <bool kNormalOnly, bool kMasked, int kCount>
inline __m256 exponentiate_vectors(const BlockScales& scales, const QueryBlock& query, int i,
                                   float* lanes, __m256 largest) {
  float* p = query.p + i * kWidth;
  __m256 e[kCount];
  for (int j = 0; j < kCount; ++j) {
    e[j] = _mm256_sub_ps(_mm256_load_ps(p + j * kWidth), _mm256_set1_ps(query.m));
    if constexpr (!kNormalOnly) e[j] = exp(e[j]);
  }
  if constexpr (kNormalOnly) exp_of_normal<kCount>(e);
  for (int j = 0; j < kCount; ++j) {
    const float* value_scales = scales.values[(i + j) / kVectors] + (i + j) % kVectors * kWidth;
    __m256 pv = _mm256_mul_ps(e[j], _mm256_loadu_ps(value_scales));
    if constexpr (kMasked) {
      const __m256 valid = _mm256_castsi256_ps(first_lanes(query.count - (i + j) * kWidth));
      e[j] = _mm256_and_ps(e[j], valid);
      pv = _mm256_and_ps(pv, valid);
    }
    float* lane = lanes + (i + j) % 8 * kWidth;
    _mm256_store_ps(lane, _mm256_add_ps(_mm256_load_ps(lane), e[j]));
    largest = _mm256_max_ps(pv, largest);
    _mm256_store_ps(p + j * kWidth, pv);
  }
  return largest;
}

// Vectors of a block, up to the end of the last KV block.
int num_vectors(const QueryBlock& query) {
  return (query.count + kKvBlockTokens - 1) / kKvBlockTokens * kVectors;
}

template <bool kNormalOnly>
void exponentiate(const BlockScales& scales, QueryBlock* query) {
  alignas(32) float lanes[8 * kWidth];
#pragma GCC unroll 8
  for (int j = 0; j < 8; ++j) {
    __m256 zero = _mm256_setzero_ps();
    keep_order(zero);  // Else GCC calls for a memset, which starts slowly.
    _mm256_store_ps(lanes + j * kWidth, zero);
  }
  __m256 largest = _mm256_setzero_ps();
  const int whole = query->count / kWidth;
  int i = 0;
  for (; i + 4 <= whole; i += 4) {
    largest = exponentiate_vectors<kNormalOnly, false, 4>(scales, *query, i, lanes, largest);
  }
  for (; i < num_vectors(*query); ++i) {
    largest = exponentiate_vectors<kNormalOnly, true, 1>(scales, *query, i, lanes, largest);
  }
  __m256 vectors[8];
  for (int j = 0; j < 8; ++j) vectors[j] = _mm256_load_ps(lanes + j * kWidth);
  query->l = tree_sum(vectors);
  query->c = largest_lane(largest);
}

float limit_of(const BlockScales& scales) { return scales.kv_bits == 16 ? 4095.0f : 255.0f; }  // Lp

}  // namespace

void score_block(const BlockScales& scales, QueryBlock* query) {
  Extremes extremes;
  const int whole = query->count / kWidth;
  for (int i = 0; i < whole; ++i) score_vector<false>(scales, *query, i, &extremes);
  for (int i = whole; i < num_vectors(*query); ++i) {
    score_vector<true>(scales, *query, i, &extremes);
  }
  query->m = largest_lane(extremes.largest);
  query->normal = smallest_lane(extremes.smallest) - query->m >= kNormal;
}

void exponentiate_block(const BlockScales& scales, QueryBlock* query) {
  if (query->normal) {
    exponentiate<true>(scales, query);
  } else {
    exponentiate<false>(scales, query);
  }
}

void quantize_block(const BlockScales& scales, const QueryBlock& query, std::int16_t* weights) {
  const __m256 inverse = _mm256_set1_ps(query.c < 0x1p-100f ? 0.0f : limit_of(scales) / query.c);
  for (int i = 0; i < num_vectors(query) * kWidth; i += 2 * kWidth) {
    const __m256 low = _mm256_mul_ps(_mm256_load_ps(query.p + i), inverse);
    const __m256 high = _mm256_mul_ps(_mm256_load_ps(query.p + i + kWidth), inverse);
    const __m256i packed = _mm256_packs_epi32(_mm256_cvtps_epi32(low), _mm256_cvtps_epi32(high));
    _mm256_storeu_si256(reinterpret_cast<__m256i*>(weights + i),
                        _mm256_permute4x64_epi64(packed, 0xd8));
  }
}

void scale_sums(const std::int32_t* isum, int head_size, float factor, float* o) {
  for (int d = 0; d < head_size; d += kWidth) {
    const __m256i sums = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(isum + d));
    _mm256_storeu_ps(o + d, _mm256_mul_ps(_mm256_cvtepi32_ps(sums), _mm256_set1_ps(factor)));
  }
}

void fold_output(const float* o, int head_size, Fold fold, float* output) {
  for (int d = 0; d < head_size; d += kWidth) {
    const __m256 left = _mm256_mul_ps(_mm256_loadu_ps(output + d), _mm256_set1_ps(fold.left));
    _mm256_storeu_ps(output + d,
                     _mm256_fmadd_ps(_mm256_loadu_ps(o + d), _mm256_set1_ps(fold.right), left));
  }
}

void fold_block(const BlockSums& block, int head_size, Softmax* total, float* output) {
  const Softmax b = block.softmax;
  const float largest = total->m > b.m ? total->m : b.m;
  const Fold fold{canonical_exp(total->m - largest), canonical_exp(b.m - largest)};
  fold_output(block.o, head_size, fold, output);
  total->l = __builtin_fmaf(b.l, fold.right, total->l * fold.left);
  total->m = largest;
}

void fold_factors(const float* block_largest, int count, const FoldFactors& factors) {
  for (int q = 0; q < count; q += kWidth) {
    const __m256 a = _mm256_loadu_ps(factors.largest + q);
    const __m256 b = _mm256_loadu_ps(block_largest + q);
    const __m256 largest = _mm256_max_ps(a, b);
    _mm256_storeu_ps(factors.largest + q, largest);
    _mm256_storeu_ps(factors.left + q, exp(_mm256_sub_ps(a, largest)));
    _mm256_storeu_ps(factors.right + q, exp(_mm256_sub_ps(b, largest)));
  }
}

void divide(float l, int head_size, float* output) {
  for (int d = 0; d < head_size; d += kWidth) {
    _mm256_storeu_ps(output + d, _mm256_div_ps(_mm256_loadu_ps(output + d), _mm256_set1_ps(l)));
  }
}

}  // namespace lockstep::kernels::avx2
