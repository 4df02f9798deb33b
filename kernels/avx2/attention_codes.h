// The cache's codes as 16-bit numbers, and what is computed from them alone: exact sums of
// products. A tile is the queries whose sums are in registers at once.
#pragma once

#include <cstdint>

namespace lockstep::kernels::avx2 {

// The codes of one head's keys (or values) in some KV blocks that follow each other.
struct CodeRun {
  const char* const* codes;  // [num_blocks]
  int num_blocks;
  int kv_bits;
  int head_size;            // A multiple of 16.
  const char* const* next;  // [num_blocks]: what is needed next, to be fetched; may all be null.
};

// isum[q * isum_stride + slot] = products of query q's codes with the key of each slot; a KV block
// has 16.
struct ScoreArgs {
  CodeRun keys;
  const std::int16_t* queries;  // [num_queries, query_stride]
  int query_stride;
  int num_queries;
  std::int32_t* isum;
  int isum_stride;
};
void score_keys(const ScoreArgs& args);

// isum[q * isum_stride + channel] += sum over all slots of weights[q * weight_stride + slot] times
// the value's code.
struct WeighArgs {
  CodeRun values;
  const std::int16_t* weights;
  int weight_stride;
  int num_queries;
  std::int32_t* isum;
  int isum_stride;
};
void weigh_values(const WeighArgs& args);

}  // namespace lockstep::kernels::avx2
