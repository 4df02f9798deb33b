// Attention with 256-bit vectors. A batch of queries goes over the KV blocks together, so that
// those of one key/value head share its keys and values: the queries of one token, which read the
// cache in the order in which it lies, or in prefill those of several tokens for one key/value
// head.
#include <algorithm>
#include <cstddef>
#include <cstring>
#include <span>

#include "base/check.h"
#include "kernels/avx2/attention_codes.h"
#include "kernels/avx2/attention_softmax.h"
#include "kernels/avx2/avx2.h"
#include "kernels/avx2/head_codes.h"
#include "kernels/kv_layout.h"
#include "kernels/reference/primitives.h"
#include "kernels/reference/reference.h"

namespace lockstep::kernels::avx2 {
namespace {

constexpr int kMaxQueries = 32;  // Of a batch.
constexpr int kAhead = 3;        // Steps from fetching codes to using them.
constexpr int kKvBlocks = kAttentionBlock / kKvBlockTokens;

struct Query {
  int position;
  int head;           // Of the call's heads.
  const float* from;  // [head_size]
  float* output;      // [head_size]
  float scale;        // sq
  Softmax total;      // Of the blocks so far; their weighted values are in the output.
};

// Queries [begin, end) of the batch, by increasing position; all use one key/value head.
struct Group {
  int kv_head;
  int begin;
  int end;
};

// Heads [begin, end) of the call and the key/value head that they use.
struct HeadRun {
  int kv_head;
  int begin;
  int end;
};

// The h-th key/value head that is attended to.
HeadRun head_run(const AttentionArgs& args, int h) {
  const int begin = h == 0 ? 0 : args.first_group_left + (h - 1) * args.query_group;
  const int end = args.first_group_left + h * args.query_group;
  return {args.first_kv_head + h, begin, std::min(end, args.num_heads)};
}

class Attention {
 public:
  // `parts` is where the results of blocks are kept apart; if null, they are folded into the
  // outputs.
  Attention(const AttentionArgs& args, const AttentionPartArgs* parts)
      : args_(args), parts_(parts), head_size_(args.cache.head_size) {
    CHECK(head_size_ > 0 && head_size_ <= kMaxHeadSize, "head size out of range");
    score_scale_ = static_cast<float>(1.0 / __builtin_sqrt(static_cast<double>(head_size_)));
    if (args.cache.kv_bits == 8) {
      score_scale_ /= static_cast<float>(reference::rotation_block(head_size_));
    }
  }

  int room() const { return kMaxQueries - num_queries_; }
  bool empty() const { return num_queries_ == 0; }

  // Adds some heads of a token; a batch has several tokens only if it has one key/value head.
  // Requires: room for them.
  void add(int token, const HeadRun& heads) {
    if (empty() || groups_[num_groups_ - 1].kv_head != heads.kv_head) {
      groups_[num_groups_++] = {heads.kv_head, num_queries_, num_queries_};
    }
    for (int head = heads.begin; head < heads.end; ++head) {
      const std::ptrdiff_t first = static_cast<std::ptrdiff_t>(token) * args_.stride +
                                   static_cast<std::ptrdiff_t>(head) * head_size_;
      queries_[num_queries_++] = {args_.position + token, head, args_.queries + first,
                                  args_.output + first,   0.0f, {}};
    }
    groups_[num_groups_ - 1].end = num_queries_;
  }

  // Removes the queries added and computes blocks [block_begin, block_end) for them, as far as they
  // see. False when one is NaN or infinite.
  bool run(int block_begin, int block_end) {
    for (int q = 0; q < num_queries_; ++q) {
      const HeadCodes from{queries_[q].from, head_size_, args_.cache.kv_bits, true};
      if (!store_head(from, codes_ + q * head_size_, &queries_[q].scale)) return false;
    }
    block_end_ = std::min(block_end, last_position() / kAttentionBlock + 1);
    // Queries of several tokens find the codes in the second-level cache.
    ahead_ = {args_.num_tokens == 1 ? block_begin : block_end_, 0, 0, false};
    for (int i = 0; i < kAhead; ++i) codes_ahead();
    for (int block = block_begin; block < block_end_; ++block) attend(block);
    if (parts_ == nullptr) {
      for (const Query& query : queries()) divide(query.total.l, head_size_, query.output);
    }
    num_queries_ = num_groups_ = 0;
    return true;
  }

 private:
  std::span<Query> queries() { return {queries_, static_cast<std::size_t>(num_queries_)}; }
  std::span<const Group> groups() const { return {groups_, static_cast<std::size_t>(num_groups_)}; }
  int last_position() const { return queries_[num_queries_ - 1].position; }

  std::ptrdiff_t cache_block(int kv_head, int position) const {
    const std::ptrdiff_t block = args_.block_table[position / kKvBlockTokens];
    return block * args_.cache.num_kv_heads + kv_head;
  }

  // One head's codes in the KV block of `position`.
  const char* codes_of(const void* codes, int kv_head, int position) const {
    const auto bytes = static_cast<std::ptrdiff_t>(kv_block_bytes(head_size_, args_.cache.kv_bits));
    return static_cast<const char*>(codes) + cache_block(kv_head, position) * bytes;
  }

  // The first query of the group that sees `position`.
  int first_that_sees(const Group& group, int position) const {
    int first = group.begin;
    while (first < group.end && queries_[first].position < position) ++first;
    return first;
  }

  // The codes that are needed kAhead steps after these; null where there are none.
  const char* codes_ahead() {
    const int begin = ahead_.block * kAttentionBlock;
    const int position = begin + ahead_.kv_block * kKvBlockTokens;
    if (ahead_.block >= block_end_) return nullptr;
    const void* codes = ahead_.values ? args_.cache.values : args_.cache.keys;
    const char* found = codes_of(codes, groups_[ahead_.group].kv_head, position);
    if (++ahead_.group < num_groups_) return found;
    ahead_.group = 0;
    if (++ahead_.kv_block < kv_blocks_from(begin)) return found;
    ahead_.kv_block = 0;
    if (ahead_.values) ++ahead_.block;
    ahead_.values = !ahead_.values;
    return found;
  }

  // KV blocks in use of the block from `begin` on.
  int kv_blocks_from(int begin) const {
    return std::min(kKvBlocks, (last_position() - begin) / kKvBlockTokens + 1);
  }

  void attend(int block) {
    const int begin = block * kAttentionBlock;
    const int kv_blocks = kv_blocks_from(begin);
    for (int i = 0; i < kv_blocks; ++i) {
      for (const Group& group : groups()) score(group, begin, i);
    }
    for (const Group& group : groups()) {
      softmax(group, begin, kv_blocks);
    }
    std::memset(sums_, 0, sizeof *sums_ * static_cast<std::size_t>(num_queries_ * head_size_));
    for (int i = 0; i < kv_blocks; ++i) {
      for (const Group& group : groups()) weigh(group, begin, i);
    }
    for (const Group& group : groups()) {
      for (int q = first_that_sees(group, begin); q < group.end; ++q) finish(q, block);
    }
  }

  // The products with the keys of the i-th KV block of the block from `begin` on.
  void score(const Group& group, int begin, int i) {
    const int position = begin + i * kKvBlockTokens;
    const int first = first_that_sees(group, position);
    score_keys(
        {codes_of(args_.cache.keys, group.kv_head, position), args_.cache.kv_bits,
         codes_ + first * head_size_, head_size_, group.end - first, head_size_,
         reinterpret_cast<std::int32_t*>(scores_ + first * kAttentionBlock) + i * kKvBlockTokens,
         kAttentionBlock, codes_ahead()});
  }

  void softmax(const Group& group, int begin, int kv_blocks) {
    BlockScales scales;
    scales.kv_bits = args_.cache.kv_bits;
    scales.score_scale = score_scale_;
    for (int i = 0; i < kv_blocks; ++i) {
      const std::ptrdiff_t first =
          cache_block(group.kv_head, begin + i * kKvBlockTokens) * kKvBlockTokens;
      scales.keys[i] = args_.cache.key_scales + first;
      scales.values[i] = args_.cache.value_scales + first;
    }
    const int first = first_that_sees(group, begin);
    for (int q = first; q < group.end; ++q) {
      of_block_[q].p = scores_ + q * kAttentionBlock;
      of_block_[q].count = std::min(kAttentionBlock, queries_[q].position + 1 - begin);
      of_block_[q].scale = queries_[q].scale;
      score_block(scales, &of_block_[q]);
    }
    for (int q = first; q < group.end; ++q) exponentiate_block(scales, &of_block_[q]);
    for (int q = first; q < group.end; ++q) {
      quantize_block(scales, of_block_[q], weights_ + q * kAttentionBlock);
    }
  }

  // Adds the weighted values of the i-th KV block.
  void weigh(const Group& group, int begin, int i) {
    const int position = begin + i * kKvBlockTokens;
    const int first = first_that_sees(group, position);
    weigh_values({codes_of(args_.cache.values, group.kv_head, position), args_.cache.kv_bits,
                  weights_ + first * kAttentionBlock + i * kKvBlockTokens, kAttentionBlock,
                  group.end - first, head_size_, sums_ + first * head_size_, head_size_,
                  codes_ahead()});
  }

  // Keeps or folds the result of a block for query q.
  void finish(int q, int block) {
    Query& query = queries_[q];
    const Softmax softmax{of_block_[q].m, of_block_[q].l};
    const float factor = of_block_[q].c / (args_.cache.kv_bits == 16 ? 4095.0f : 255.0f);  // c / Lp
    const std::int32_t* sums = sums_ + q * head_size_;
    if (parts_ != nullptr) {
      const std::ptrdiff_t row = static_cast<std::ptrdiff_t>(block) * args_.num_heads + query.head;
      scale_sums(sums, head_size_, factor, parts_->sums + row * head_size_);
      parts_->states[2 * row] = softmax.m;
      parts_->states[2 * row + 1] = softmax.l;
    } else if (block == 0) {
      scale_sums(sums, head_size_, factor, query.output);
      query.total = softmax;
    } else {
      float o[kMaxHeadSize];
      scale_sums(sums, head_size_, factor, o);
      fold_block({softmax, o}, head_size_, &query.total, query.output);
    }
  }

  const AttentionArgs& args_;
  const AttentionPartArgs* parts_;
  const int head_size_;
  float score_scale_;  // Of all scores.

  // The step (keys or values of one head in one KV block) whose codes are fetched next.
  struct Step {
    int block;
    int kv_block;
    int group;
    bool values;
  };
  Step ahead_{};
  int block_end_ = 0;

  Query queries_[kMaxQueries];
  Group groups_[kMaxQueries];
  int num_queries_ = 0;
  int num_groups_ = 0;
  alignas(32) std::int16_t codes_[kMaxQueries * kMaxHeadSize];  // [num_queries, head_size]

  // Of the block that is being computed.
  alignas(32) float scores_[kMaxQueries * kAttentionBlock];
  alignas(32) std::int16_t weights_[kMaxQueries * kAttentionBlock];
  alignas(32) std::int32_t sums_[kMaxQueries * kMaxHeadSize];  // [num_queries, head_size]
  QueryBlock of_block_[kMaxQueries];
};

// Blocks [block_begin, block_end) of the first token's query heads that use the attended key/value
// heads [h_begin, h_end).
struct HeadsAndBlocks {
  int h_begin;
  int h_end;
  int block_begin;
  int block_end;
};

bool attend_token(const AttentionArgs& args, const HeadsAndBlocks& what, Attention* attention) {
  for (int h = what.h_begin; h < what.h_end; ++h) {
    HeadRun heads = head_run(args, h);
    while (heads.begin < heads.end) {
      HeadRun some = heads;
      some.end = std::min(heads.end, heads.begin + attention->room());
      attention->add(0, some);
      heads.begin = some.end;
      if (attention->room() > 0) continue;
      if (!attention->run(what.block_begin, what.block_end)) return false;
    }
  }
  return attention->empty() || attention->run(what.block_begin, what.block_end);
}

// Several tokens, for some query heads that use one key/value head.
bool attend_tokens(const AttentionArgs& args, const HeadRun& heads, int num_blocks,
                   Attention* attention) {
  for (int token = 0; token < args.num_tokens; ++token) {
    attention->add(token, heads);
    const bool full = attention->room() < heads.end - heads.begin;
    if ((full || token + 1 == args.num_tokens) && !attention->run(0, num_blocks)) return false;
  }
  return true;
}

}  // namespace

bool attention(const AttentionArgs& args) {
  if (args.cache.head_size % kHeadMultiple != 0) return reference::attention(args);
  Attention attention(args, nullptr);
  const int kv_heads = attended_kv_heads(args);
  const int num_blocks = (args.position + args.num_tokens - 1) / kAttentionBlock + 1;
  if (args.num_tokens == 1) return attend_token(args, {0, kv_heads, 0, num_blocks}, &attention);
  for (int h = 0; h < kv_heads; ++h) {
    HeadRun heads = head_run(args, h);
    while (heads.begin < heads.end) {
      HeadRun some = heads;
      some.end = std::min(heads.end, heads.begin + kMaxQueries);
      if (!attend_tokens(args, some, num_blocks, &attention)) return false;
      heads.begin = some.end;
    }
  }
  return true;
}

bool attention_part(const AttentionPartArgs& args) {
  if (args.attention.cache.head_size % kHeadMultiple != 0) return reference::attention_part(args);
  Attention attention(args.attention, &args);
  const int kv_heads = attended_kv_heads(args.attention);
  for (int unit = args.unit_begin; unit < args.unit_end;) {
    const int block = unit / kv_heads;
    const int h = unit % kv_heads;
    // Whole blocks together, else what is asked of one block.
    const int whole = h == 0 ? (args.unit_end - unit) / kv_heads : 0;
    const int h_end = whole > 0 ? kv_heads : std::min(kv_heads, h + args.unit_end - unit);
    const int block_end = block + std::max(whole, 1);
    if (!attend_token(args.attention, {h, h_end, block, block_end}, &attention)) return false;
    unit += (h_end - h) * (block_end - block);
  }
  return true;
}

void attention_fold(const AttentionFoldArgs& args) {
  if (args.head_size % kHeadMultiple != 0) return reference::attention_fold(args);
  for (int head = args.head_begin; head < args.head_end; ++head) {
    float* output = args.output + static_cast<std::ptrdiff_t>(head) * args.head_size;
    Softmax total{args.states[2 * head], args.states[2 * head + 1]};
    std::copy_n(args.sums + static_cast<std::ptrdiff_t>(head) * args.head_size, args.head_size,
                output);
    for (int block = 1; block < args.num_blocks; ++block) {
      const std::ptrdiff_t row = static_cast<std::ptrdiff_t>(block) * args.num_heads + head;
      fold_block(
          {{args.states[2 * row], args.states[2 * row + 1]}, args.sums + row * args.head_size},
          args.head_size, &total, output);
    }
    divide(total.l, args.head_size, output);
  }
}

}  // namespace lockstep::kernels::avx2
