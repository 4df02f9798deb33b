// The operations of ops.h on a device, for a whole batch, as plain structs; device_table.h has the
// functions. All pointers are the device's. The bits are those of reference/.
#pragma once

#include <cstdint>

#include "kernels/device_fragments.h"

namespace lockstep::cuda {

// Where a value that is NaN or infinite is noted: flags[s] becomes at most `code`, s being the
// token's sequence. Later operations see zeros in its place.
struct NonFiniteReport {
  std::uint32_t* flags = nullptr;           // [sequences]; starts at 2^32 - 1. Null: not noted.
  const std::int32_t* sequences = nullptr;  // [num_tokens]: of each token. Null: its own index.
  std::uint32_t code = 0;
};

// Brings a matrix from layout p16 into the order of device_fragments.h, once, when it is loaded:
// `weights` gets the segments that `source` holds. (A rank's parts of a matrix that is cut along K
// become one matrix with a segment each.)
struct PermuteWeightsArgs {
  const std::uint8_t* source;  // [panels][source_groups][p16_group_bytes(format)]
  int source_groups;
  int first_segment;  // Of `weights`; the source has whole segments, from here on ...
  int num_quads;      // ... of so many quads. (Segments' tables are the device's.)
  WeightTiles weights;
};

// output[t] = the embedding of rows[t]; numerics, "Embedding". Layout of the table:
// device_fragments.h.
struct EmbedArgs {
  WeightTiles table;
  const std::int32_t* rows;  // [num_tokens], each in [0, table.rows)
  float* output;             // [num_tokens, output_stride]; k values are written
  int output_stride;
  int k;
  int num_tokens;
};

// As kernels/ops.h.
struct RmsNormArgs {
  const float* input;   // [num_tokens, dim]
  const float* weight;  // [dim]
  float* output;        // [num_tokens, dim]; may be `input`
  int num_tokens;
  int dim;
  float epsilon;
};

// Quantizes all tokens; with `norm_weight` after RMSNorm. Absent tokens of the last tile become 0.
struct QuantizeArgs {
  const float* input;  // [num_tokens, input_stride]; k values are read
  int input_stride;
  int k;
  ActivationTiles output;
  NonFiniteReport report;
  const float* norm_weight = nullptr;  // [k]
  float epsilon = 0;
  const std::int32_t* rows = nullptr;  // [num_tokens]: where in `input` each is. Null: in order.
};

// Quantized matmul of all tokens; numerics, "Quantized linear".
enum class LinearResult : std::uint8_t {
  kFold,         // output[t, n] = ((p_0 + p_1) + p_2) + ...
  kContinue,     // output[t, n] = ((output[t, n] + p_0) + p_1) + ...: segments right of others
  kSegmentSums,  // output[s, t, n] = p_s, for a fold over several ranks
  kAdd,          // output[t, n] = output[t, n] + the fold: the residual
  kSwiglu,       // Panels alternate, gate and up: output[t, 16 i + r] = SwiGLU of rows r of panels
                 // 2 i and 2 i + 1
};
struct LinearArgs {
  WeightTiles weight;
  ActivationTiles input;  // The same segments.
  float* output;          // [num_tokens, output_stride]; [segments, num_tokens, output_stride]
  int output_stride;  // At least 16 * weight.panels(), with kSwiglu half of it; padding rows are
                      // written as 0. With kAdd at least weight.rows: padding is not touched.
  LinearResult result = LinearResult::kFold;
};

// One layer's paged cache, in blocks of kKvBlockTokens; layout: device_kv_tiles.h.
struct KvTiles {
  std::uint8_t* keys = nullptr;    // [num_blocks, num_kv_heads][kv_tile_bytes]
  std::uint8_t* values = nullptr;  // The same shape.
  float* key_scales = nullptr;     // [num_blocks, num_kv_heads, 16]
  float* value_scales = nullptr;   // The same shape.
  int num_kv_heads = 0;
  int head_size = 0;
  int kv_bits = 16;
};

// The tokens of a batch in the cache.
struct BatchPositions {
  const std::int32_t* positions;     // [num_tokens]
  const std::int32_t* table_starts;  // [num_tokens]: where the sequence's block table begins ...
  const std::int32_t* tables;        // ... in this list of KV blocks.
};

// Queries as codes, for attention.
struct QueryCodes {
  std::int8_t* hi = nullptr;  // [num_tokens, num_heads, padded_head_size]; null with kv 8
  std::int8_t* lo = nullptr;  // The same shape.
  float* scales = nullptr;    // [num_tokens, num_heads]
};

// RoPE of queries and keys, Walsh-Hadamard rotation with kv 8, keys and values into the cache,
// queries into codes. Numerics, "The rest of a layer" and "Attention".
struct PrepareAttentionArgs {
  const float* projected;  // [num_tokens, stride]: what came out of q, k and v
  int stride;
  const std::int32_t* columns;  // [num_heads + 2 * num_kv_heads]: where each head begins
  const float* cosines;         // [num_tokens, rotary_dims / 2]
  const float* sines;           // [num_tokens, rotary_dims / 2]
  int rotary_dims;
  int num_tokens;
  int num_heads;
  BatchPositions batch;
  KvTiles cache;
  QueryCodes queries;
  NonFiniteReport key_report;
  NonFiniteReport query_report;
};

// Consecutive tokens of one sequence, or a piece of their query rows.
struct AttentionTile {
  std::int32_t first_token = 0;  // Of the run, in the batch.
  std::int32_t num_tokens = 0;   // Of the run.
  std::int32_t first_row = 0;    // Rows are (token, head of the group), token by token.
};
inline constexpr int kAttentionTileRows = 64;  // Rows of a tile; from one tile to the next.
inline constexpr int kSplitTileRows = 16;      // The same when blocks of keys are shared out.

struct AttentionArgs {
  QueryCodes queries;
  BatchPositions batch;
  KvTiles cache;
  float* output;  // [num_tokens, num_heads * head_size]
  const AttentionTile* tiles;
  int num_tiles;
  int num_heads;
  int first_group_left;  // Query heads that use the cache's first head; every further one is used
                         // by
  int query_group;       // query_group heads.
  // With these, blocks of 128 keys are computed apart and then folded: for few queries.
  float* sums = nullptr;    // [num_tokens, num_heads, max_blocks, head_size]
  float* states = nullptr;  // [num_tokens, num_heads, max_blocks, 2]
  int max_blocks = 0;       // Of any token: position / 128 + 1.
  int num_tokens = 0;
};

// output[t, i] = (g / (1 + exp(-g))) * u; as kernels/ops.h.
struct SwigluArgs {
  const float* gate;  // [num_tokens, input_stride]
  const float* up;    // [num_tokens, input_stride]
  int input_stride;
  int panel_stride;
  float* output;  // [num_tokens, output_stride]
  int output_stride;
  int num_tokens;
  int width;
};

// The left fold over segment sums of all ranks, in order: output = (p_0 + p_1) + ..., and with
// `residual`: output = residual + that.
struct FoldArgs {
  const float* sums;  // [segments, num_tokens, sum_stride]
  int segments;
  int sum_stride;
  const float* residual;  // [num_tokens, output_stride], or null; may be `output`
  float* output;          // [num_tokens, output_stride]
  int output_stride;
  int num_tokens;
  int dim;
};

// For each row of logits the first of the largest values, and whether all are finite. Numerics,
// "Sampling".
struct ArgmaxArgs {
  const float* logits;  // [num_rows, stride]
  int stride;
  int num_rows;
  int vocab_size;
  std::uint32_t* tokens;      // [num_rows]
  std::uint32_t* non_finite;  // [num_rows]: 1 when a value is NaN or infinite
};

}  // namespace lockstep::cuda
