// The vocabulary of the arithmetic: every operation of a forward pass, as a plain struct of shapes
// and pointers. Each device offers one table of functions over them (backend.h). The formulas are
// those of the numerics design, to the bit; every implementation equals `reference/` on every
// input.
//
// All functions are synchronous, touch only what their arguments name, and are safe to call at once
// from several threads on disjoint outputs. Matrices are row-major, strides count elements.
#pragma once

#include <cstdint>

#include "base/p16.h"

namespace lockstep::kernels {

// One stored matrix in layout p16 (base/p16.h): y[n] = sum_k x[k] * w[n, k].
struct MatrixView {
  const std::uint8_t* data = nullptr;  // [panels][groups][p16_group_bytes(format)]; 64-byte aligned
  WeightFormat format = WeightFormat::kQ8_0;  // Not kF32.
  int rows = 0;                               // Logical; panels() * 16 are stored.
  int k = 0;                                  // Logical; groups() * 32 are stored.

  int panels() const { return (rows + kPanelRows - 1) / kPanelRows; }
  int groups() const { return (k + kGroupSize - 1) / kGroupSize; }
  const std::uint8_t* panel(int index) const {
    return data + static_cast<std::size_t>(index) * static_cast<std::size_t>(groups()) *
                      p16_group_bytes(format);
  }
};

// Copies rows of the embedding as binary32. Numerics, "Embedding".
//   q8_0: d * float(q)   q4_0: d * float(q - 8)   q4_1: fma(float(q), d, m)
struct EmbedArgs {
  MatrixView table;
  const std::int32_t* rows;  // [num_tokens], each in [0, table.rows)
  float* output;             // [num_tokens, output_stride]; table.k values are written
  int output_stride;
  int num_tokens;
};

// Root-mean-square normalization of each token's hidden state:
//   output[t, i] = input[t, i] * (1 / sqrt(mean_j(input[t, j]^2) + epsilon)) * weight[i]
// Source: Zhang and Sennrich 2019, arXiv:1910.07467; order of summation: numerics, "The rest of a
// layer".
struct RmsNormArgs {
  const float* input;   // [num_tokens, dim]
  const float* weight;  // [dim]
  float* output;        // [num_tokens, dim]; may be `input`
  int num_tokens;
  int dim;
  float epsilon;
};

// Activations of a quantized linear as codes. 16 bits: code = 256 * hi + lo, one scale per (token,
// segment). 8 bits: the code is `lo`, `hi` is null, one scale per (token, group).
struct Activations {
  std::int8_t* hi = nullptr;  // [num_tokens, k_padded]; null with 8 bits
  std::int8_t* lo = nullptr;  // [num_tokens, k_padded]
  float* scales = nullptr;  // [num_tokens, num_segments] (16 bits) or [num_tokens, groups] (8 bits)
  std::int32_t* sums = nullptr;  // [num_tokens, groups]: sum of the codes of each group
  int num_tokens = 0;
  int k_padded = 0;        // A multiple of 32; codes beyond k are 0.
  int segment_groups = 0;  // Groups in a segment; the last segment may have fewer.
  int bits = 16;           // 16 or 8.

  int groups() const { return k_padded / kGroupSize; }
  int num_segments() const { return (groups() + segment_groups - 1) / segment_groups; }
};

// Quantizes tokens [token_begin, token_end) of `input` into `output`. Numerics, "Words" and
// "Profile". False when a value is NaN or infinite (the codes are then unspecified).
struct QuantizeArgs {
  const float* input;  // [num_tokens, input_stride]; k values are read
  int input_stride;
  int k;
  Activations output;
  int token_begin;
  int token_end;
};

// Fused quantized matmul, panels [panel_begin, panel_end) of `weight`, all tokens. Numerics,
// "Quantized linear": within a segment by increasing group, segments folded from the left.
//   output[t, n] = ((p_0 + p_1) + p_2) + ...     (one segment: p_0, the segment sum itself)
// With `accumulate` the fold starts from what `output` holds: ((output + p_0) + p_1) + ..., for the
// next part of a matrix that is cut along K.
struct LinearArgs {
  MatrixView weight;
  Activations input;  // input.groups() == weight.groups()
  float* output;      // [num_tokens, output_stride]; rows 16 * panel_begin .. 16 * panel_end are
                      // written, padding as 0
  int output_stride;  // >= 16 * weight.panels()
  int panel_begin;
  int panel_end;
  bool accumulate = false;
};

// Rotary position embedding, in place, on neighbouring pairs of the first `rotary_dims` of each
// head:
//   (a, b) -> (fma(a, c, -(b * s)), fma(a, s, b * c))
struct RopeArgs {
  float* vectors;  // [num_tokens, stride]; heads of head_size, side by side
  int stride;
  const float* cosines;  // [num_tokens, rotary_dims / 2]: of each token's position
  const float* sines;    // [num_tokens, rotary_dims / 2]
  int num_tokens;
  int num_heads;
  int head_size;
  int rotary_dims;
};

// One layer's paged cache on one rank. A KV block holds kKvBlockTokens tokens.
inline constexpr int kKvBlockTokens = 16;
inline constexpr int kMaxHeadSize = 512;  // Above it attention's integer sums could overflow.
struct KvCacheView {
  void* keys = nullptr;    // [num_blocks, num_kv_heads] times kv_block_bytes (kernels/kv_layout.h);
                           // rotated with kv 8
  void* values = nullptr;  // The same shape.
  float* key_scales = nullptr;    // [num_blocks, num_kv_heads, 16]
  float* value_scales = nullptr;  // The same shape.
  int num_kv_heads = 0;
  int head_size = 0;
  int kv_bits = 16;  // 16 or 8.
};

// Quantizes keys (after RoPE; rotated by a Walsh-Hadamard transform with kv 8) and values of one
// token into the cache. False when a value is NaN or infinite.
struct AppendKvArgs {
  const float* keys;    // [num_kv_heads, head_size]
  const float* values;  // [num_kv_heads, head_size]
  KvCacheView cache;
  std::int32_t block;  // KV block and slot of the token.
  int slot;            // In [0, 16).
};

// Attention of the query heads of consecutive tokens of one sequence: token t, at position
// `position` + t, over positions [0, position + t]. Numerics, "Attention". False when a query is
// NaN or infinite.
struct AttentionArgs {
  const float* queries;  // [num_tokens, stride]: num_heads of head_size, after RoPE
  float* output;         // [num_tokens, stride]
  KvCacheView cache;
  const std::int32_t* block_table;  // KV blocks of the sequence, up to the last token's
  int position;                     // Of the first token.
  int num_heads;
  int first_kv_head;     // The cache's key/value head of queries[0] ...
  int first_group_left;  // ... and how many query heads, from queries[0] on, still use it; later
                         // ones change every
  int query_group;       // query_group heads.
  int num_tokens = 1;
  int stride = 0;  // Unused for one token.
};

// The key/value heads that the queries use.
inline int attended_kv_heads(const AttentionArgs& args) {
  const int behind = args.num_heads - args.first_group_left;
  return behind <= 0 ? 1 : 1 + (behind + args.query_group - 1) / args.query_group;
}

// Steps 1 to 3 of one token's attention, for units [unit_begin, unit_end) of it, so that several
// threads can share a long context. Unit b * attended_kv_heads + h is the block of positions from
// b * kAttentionBlock on, for the queries of the h-th attended key/value head.
inline constexpr int kAttentionBlock = 128;
struct AttentionPartArgs {
  AttentionArgs attention;  // num_tokens is 1; `output` is not written.
  float* sums;              // [blocks, num_heads, head_size]: o
  float* states;            // [blocks, num_heads, 2]: m and l
  int unit_begin;
  int unit_end;

  int num_blocks() const { return attention.position / kAttentionBlock + 1; }
  int num_units() const { return num_blocks() * attended_kv_heads(attention); }
};

// Step 4 over what the parts left, for heads [head_begin, head_end).
struct AttentionFoldArgs {
  const float* sums;    // [num_blocks, num_heads, head_size]
  const float* states;  // [num_blocks, num_heads, 2]
  float* output;        // [num_heads, head_size]
  int num_blocks;
  int num_heads;
  int head_size;
  int head_begin;
  int head_end;
};

// output[t, i] = (g / (1 + exp(-g))) * u. Numerics, "The rest of a layer".
struct SwigluArgs {
  const float* gate;  // [num_tokens, input_stride]
  const float* up;    // [num_tokens, input_stride]
  int input_stride;
  int panel_stride;  // Elements from one run of 16 to the next: 32 where gate and up panels
                     // alternate, else 16.
  float* output;     // [num_tokens, output_stride]
  int output_stride;
  int num_tokens;
  int width;  // A multiple of 16.
};

// target[t, i] += addend[t, i].
struct AddArgs {
  float* target;        // [num_tokens, dim]
  const float* addend;  // [num_tokens, addend_stride]
  int addend_stride;
  int num_tokens;
  int dim;
};

}  // namespace lockstep::kernels
