#include <cstddef>
#include <limits>

#include "base/check.h"
#include "kernels/canonical_exp.h"
#include "kernels/reference/primitives.h"
#include "kernels/reference/reference.h"

namespace lockstep::kernels::reference {
namespace {

constexpr int kAttentionBlock = 128;  // Positions that share one maximum and one scale.

// A query head as codes.
struct Query {
  std::int32_t codes[kMaxHeadSize];
  float scale;        // sq
  float score_scale;  // 1 / sqrt(head size), divided by the rotation's block with kv 8.
};

// The softmax state of a run of positions: maximum, sum of exponentials, weighted sum of values.
struct Partial {
  float m;
  float l;
  float o[kMaxHeadSize];
};

// Row of a position in the cache's scales, and of its codes in units of head_size.
std::ptrdiff_t cache_row(const AttentionArgs& args, int kv_head, int position) {
  const std::ptrdiff_t block = args.block_table[position / kKvBlockTokens];
  return (block * args.cache.num_kv_heads + kv_head) * kKvBlockTokens + position % kKvBlockTokens;
}

bool quantize_query(const AttentionArgs& args, int head, Query* query) {
  const int head_size = args.cache.head_size;
  const bool wide = args.cache.kv_bits == 16;
  float q[kMaxHeadSize];
  for (int i = 0; i < head_size; ++i) {
    q[i] = args.queries[static_cast<std::ptrdiff_t>(head) * head_size + i];
  }
  query->score_scale = static_cast<float>(1.0 / __builtin_sqrt(static_cast<double>(head_size)));
  if (!wide) {
    rotate(q, head_size);
    query->score_scale /= static_cast<float>(rotation_block(head_size));
  }
  const Scaling scaling = scaling_of(q, head_size, wide ? 2047 : 127);
  if (!scaling.finite) return false;
  query->scale = scaling.scale;
  for (int i = 0; i < head_size; ++i) query->codes[i] = code_of(q[i], scaling);
  return true;
}

// Numerics, "Attention", steps 1 to 3, over the block of positions from `begin` on.
template <typename Code>
void attend_block(const AttentionArgs& args, int kv_head, const Query& query, int begin,
                  Partial* partial) {
  const int head_size = args.cache.head_size;
  const int left = args.position + 1 - begin;
  const int count = left < kAttentionBlock ? left : kAttentionBlock;
  const float limit = sizeof(Code) == 2 ? 4095.0f : 255.0f;  // Lp
  const Code* keys = static_cast<const Code*>(args.cache.keys);
  const Code* values = static_cast<const Code*>(args.cache.values);

  float p[kAttentionBlock];  // First the scores.
  partial->m = -std::numeric_limits<float>::infinity();
  for (int i = 0; i < count; ++i) {
    const std::ptrdiff_t row = cache_row(args, kv_head, begin + i);
    std::int32_t isum = 0;
    for (int d = 0; d < head_size; ++d) isum += query.codes[d] * keys[row * head_size + d];
    p[i] =
        (static_cast<float>(isum) * (query.scale * args.cache.key_scales[row])) * query.score_scale;
    partial->m = p[i] > partial->m ? p[i] : partial->m;
  }
  for (int i = 0; i < count; ++i) p[i] = canonical_exp(p[i] - partial->m);
  partial->l = lane_sum(p, count);

  float c = 0.0f;
  for (int i = 0; i < count; ++i) {
    p[i] = p[i] * args.cache.value_scales[cache_row(args, kv_head, begin + i)];
    c = p[i] > c ? p[i] : c;
  }
  std::int32_t isum[kMaxHeadSize] = {};
  const float inverse = c < 0x1p-100f ? 0.0f : limit / c;
  for (int i = 0; i < count; ++i) {
    const std::ptrdiff_t row = cache_row(args, kv_head, begin + i);
    const auto code = static_cast<std::int32_t>(__builtin_rintf(p[i] * inverse));
    for (int d = 0; d < head_size; ++d) isum[d] += code * values[row * head_size + d];
  }
  for (int d = 0; d < head_size; ++d) partial->o[d] = static_cast<float>(isum[d]) * (c / limit);
}

// Step 4: folds the block `b` to the right of `a` into `a`.
void fold(const Partial& b, int head_size, Partial* a) {
  const float m = a->m > b.m ? a->m : b.m;
  const float ea = canonical_exp(a->m - m);
  const float eb = canonical_exp(b.m - m);
  for (int d = 0; d < head_size; ++d) a->o[d] = __builtin_fmaf(b.o[d], eb, a->o[d] * ea);
  a->l = __builtin_fmaf(b.l, eb, a->l * ea);
  a->m = m;
}

int kv_head_of(const AttentionArgs& args, int head) {
  if (head < args.first_group_left) return args.first_kv_head;
  return args.first_kv_head + 1 + (head - args.first_group_left) / args.query_group;
}

}  // namespace

bool attention(const AttentionArgs& args) {
  const int head_size = args.cache.head_size;
  CHECK(head_size > 0 && head_size <= kMaxHeadSize, "head size out of range");
  for (int head = 0; head < args.num_heads; ++head) {
    Query query;
    if (!quantize_query(args, head, &query)) return false;
    const int kv_head = kv_head_of(args, head);
    Partial total{};
    for (int begin = 0; begin <= args.position; begin += kAttentionBlock) {
      Partial block;
      if (args.cache.kv_bits == 16) {
        attend_block<std::int16_t>(args, kv_head, query, begin, &block);
      } else {
        attend_block<std::int8_t>(args, kv_head, query, begin, &block);
      }
      if (begin == 0) {
        total = block;
      } else {
        fold(block, head_size, &total);
      }
    }
    float* output = args.output + static_cast<std::ptrdiff_t>(head) * head_size;
    for (int d = 0; d < head_size; ++d) output[d] = total.o[d] / total.l;
  }
  return true;
}

}  // namespace lockstep::kernels::reference
