#include <cstddef>
#include <limits>

#include "base/check.h"
#include "kernels/canonical_exp.h"
#include "kernels/kv_layout.h"
#include "kernels/reference/primitives.h"
#include "kernels/reference/reference.h"

namespace lockstep::kernels::reference {
namespace {

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

// The codes and scales of a position of a key/value head.
struct Position {
  const std::uint8_t* keys;  // Of its KV block.
  const std::uint8_t* values;
  int slot;
  float key_scale;
  float value_scale;
};

Position find_position(const AttentionArgs& args, int kv_head, int position) {
  const KvCacheView& cache = args.cache;
  const std::ptrdiff_t head_block =
      static_cast<std::ptrdiff_t>(args.block_table[position / kKvBlockTokens]) *
          cache.num_kv_heads +
      kv_head;
  const int slot = position % kKvBlockTokens;
  const std::ptrdiff_t row = head_block * kKvBlockTokens + slot;
  const std::ptrdiff_t first =
      head_block * static_cast<std::ptrdiff_t>(kv_block_bytes(cache.head_size, cache.kv_bits));
  return {static_cast<const std::uint8_t*>(cache.keys) + first,
          static_cast<const std::uint8_t*>(cache.values) + first, slot, cache.key_scales[row],
          cache.value_scales[row]};
}

bool quantize_query(const AttentionArgs& args, const float* values, Query* query) {
  const int head_size = args.cache.head_size;
  const bool wide = args.cache.kv_bits == 16;
  float q[kMaxHeadSize];
  for (int i = 0; i < head_size; ++i) q[i] = values[i];
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

// Numerics, "Attention", steps 1 to 3, over the block of positions from `begin` to at most
// `position`.
Partial attend_block(const AttentionArgs& args, int kv_head, const Query& query, int begin,
                     int position) {
  const KvCacheView& cache = args.cache;
  const int left = position + 1 - begin;
  const int count = left < kAttentionBlock ? left : kAttentionBlock;
  const float limit = cache.kv_bits == 16 ? 4095.0f : 255.0f;  // Lp

  Partial partial;
  float p[kAttentionBlock] = {};  // First the scores.
  partial.m = -std::numeric_limits<float>::infinity();
  for (int i = 0; i < count; ++i) {
    const Position at = find_position(args, kv_head, begin + i);
    std::int32_t isum = 0;
    for (int d = 0; d < cache.head_size; ++d) {
      isum += query.codes[d] * load_kv_code(at.keys, cache.kv_bits, key_code_index(at.slot, d));
    }
    p[i] = (static_cast<float>(isum) * (query.scale * at.key_scale)) * query.score_scale;
    partial.m = p[i] > partial.m ? p[i] : partial.m;
  }
  for (int i = 0; i < count; ++i) p[i] = canonical_exp(p[i] - partial.m);
  partial.l = lane_sum(p, count);

  float c = 0.0f;
  for (int i = 0; i < count; ++i) {
    p[i] = p[i] * find_position(args, kv_head, begin + i).value_scale;
    c = p[i] > c ? p[i] : c;
  }
  std::int32_t isum[kMaxHeadSize] = {};
  const float inverse = c < 0x1p-100f ? 0.0f : limit / c;
  for (int i = 0; i < count; ++i) {
    const Position at = find_position(args, kv_head, begin + i);
    const auto code = static_cast<std::int32_t>(__builtin_rintf(p[i] * inverse));
    for (int d = 0; d < cache.head_size; ++d) {
      const int index = value_code_index(at.slot, d, cache.head_size);
      isum[d] += code * load_kv_code(at.values, cache.kv_bits, index);
    }
  }
  for (int d = 0; d < cache.head_size; ++d) {
    partial.o[d] = static_cast<float>(isum[d]) * (c / limit);
  }
  return partial;
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
  for (int t = 0; t < args.num_tokens; ++t) {
    const int position = args.position + t;
    for (int head = 0; head < args.num_heads; ++head) {
      const std::ptrdiff_t first = static_cast<std::ptrdiff_t>(t) * args.stride +
                                   static_cast<std::ptrdiff_t>(head) * head_size;
      Query query;
      if (!quantize_query(args, args.queries + first, &query)) return false;
      const int kv_head = kv_head_of(args, head);
      Partial total = attend_block(args, kv_head, query, 0, position);
      for (int begin = kAttentionBlock; begin <= position; begin += kAttentionBlock) {
        fold(attend_block(args, kv_head, query, begin, position), head_size, &total);
      }
      for (int d = 0; d < head_size; ++d) args.output[first + d] = total.o[d] / total.l;
    }
  }
  return true;
}

bool attention_part(const AttentionPartArgs& args) {
  const AttentionArgs& attention = args.attention;
  const int head_size = attention.cache.head_size;
  CHECK(head_size > 0 && head_size <= kMaxHeadSize, "head size out of range");
  const int kv_heads = attended_kv_heads(attention);
  for (int unit = args.unit_begin; unit < args.unit_end; ++unit) {
    const int block = unit / kv_heads;
    const int kv_head = attention.first_kv_head + unit % kv_heads;
    for (int head = 0; head < attention.num_heads; ++head) {
      if (kv_head_of(attention, head) != kv_head) continue;
      Query query;
      const std::ptrdiff_t first = static_cast<std::ptrdiff_t>(head) * head_size;
      if (!quantize_query(attention, attention.queries + first, &query)) return false;
      const Partial partial =
          attend_block(attention, kv_head, query, block * kAttentionBlock, attention.position);
      const std::ptrdiff_t row = static_cast<std::ptrdiff_t>(block) * attention.num_heads + head;
      for (int d = 0; d < head_size; ++d) args.sums[row * head_size + d] = partial.o[d];
      args.states[2 * row] = partial.m;
      args.states[2 * row + 1] = partial.l;
    }
  }
  return true;
}

void attention_fold(const AttentionFoldArgs& args) {
  for (int head = args.head_begin; head < args.head_end; ++head) {
    Partial total{};
    for (int block = 0; block < args.num_blocks; ++block) {
      const std::ptrdiff_t row = static_cast<std::ptrdiff_t>(block) * args.num_heads + head;
      Partial partial{args.states[2 * row], args.states[2 * row + 1], {}};
      for (int d = 0; d < args.head_size; ++d) partial.o[d] = args.sums[row * args.head_size + d];
      if (block == 0) {
        total = partial;
      } else {
        fold(partial, args.head_size, &total);
      }
    }
    float* output = args.output + static_cast<std::ptrdiff_t>(head) * args.head_size;
    for (int d = 0; d < args.head_size; ++d) output[d] = total.o[d] / total.l;
  }
}

}  // namespace lockstep::kernels::reference
