// Steps 2 to 4 of attention for one query and one block of positions, but for the sums of products.
#pragma once

#include <cstdint>

#include "kernels/ops.h"

namespace lockstep::kernels::avx2 {

// The softmax state of a run of positions; its weighted values lie elsewhere.
struct Softmax {
  float m;
  float l;
};

// What the queries of one key/value head have in common.
struct BlockScales {
  const float* keys[kAttentionBlock / kKvBlockTokens];  // Of each KV block: [16].
  const float* values[kAttentionBlock / kKvBlockTokens];
  int kv_bits;
  float score_scale;  // Of all scores.
};

struct QueryBlock {
  float* p;     // [128]: sums of products as int32, then scores, p, pv
  int count;    // Positions of the block that are not masked; at least 1.
  float scale;  // sq
  float m;      // Maximum of the scores.
  float l;      // Sum of exponentials.
  float c;      // Maximum of pv.
  bool normal;  // Whether all exponentials are far from denormal.
};

// The steps are apart so that one query's need not wait for another's: scores and m; p, l, pv and
// c; and the weights pq, 0 from `count` on to the end of its KV block.
void score_block(const BlockScales& scales, QueryBlock* query);
void exponentiate_block(const BlockScales& scales, QueryBlock* query);
void quantize_block(const BlockScales& scales, const QueryBlock& query, std::int16_t* weights);

// o[d] = float(isum[d]) * factor
void scale_sums(const std::int32_t* isum, int head_size, float factor, float* o);

// Step 4: folds a block's softmax and sums to the right of `total` and `output`.
struct BlockSums {
  Softmax softmax;
  const float* o;
};
void fold_block(const BlockSums& block, int head_size, Softmax* total, float* output);

// The same in two steps, the exponentials of many queries together. `left` is e_a, `right` is e_b;
// the maxima become M. All arrays are read and written up to a multiple of 8.
struct FoldFactors {
  float* largest;  // Of the blocks so far.
  float* left;
  float* right;
};
void fold_factors(const float* block_largest, int count, const FoldFactors& factors);
struct Fold {
  float left;
  float right;
};
void fold_output(const float* o, int head_size, Fold fold, float* output);

// output[d] /= l
void divide(float l, int head_size, float* output);

}  // namespace lockstep::kernels::avx2
