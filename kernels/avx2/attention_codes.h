// The cache's codes as 16-bit numbers, and what is computed from them alone: exact sums of
// products. A tile is the queries whose sums are in registers at once.
#pragma once

#include <cstdint>

namespace lockstep::kernels::avx2 {

// isum[q * isum_stride + slot] = products of query q's codes with the key of each of 16 slots.
struct ScoreArgs {
  const void* keys;  // Of one head in one KV block.
  int kv_bits;
  const std::int16_t* queries;  // [num_queries, query_stride]
  int query_stride;
  int num_queries;
  int head_size;  // A multiple of 16.
  std::int32_t* isum;
  int isum_stride;
  const char* next;  // Codes that are needed soon, to be fetched meanwhile; may be null.
};
void score_keys(const ScoreArgs& args);

// isum[q * isum_stride + channel] += sum over 16 slots of weights[q * weight_stride + slot] times
// the value's code.
struct WeighArgs {
  const void* values;  // Of one head in one KV block.
  int kv_bits;
  const std::int16_t* weights;
  int weight_stride;
  int num_queries;
  int head_size;  // A multiple of 16.
  std::int32_t* isum;
  int isum_stride;
  const char* next;  // Codes that are needed soon, to be fetched meanwhile; may be null.
};
void weigh_values(const WeighArgs& args);

}  // namespace lockstep::kernels::avx2
