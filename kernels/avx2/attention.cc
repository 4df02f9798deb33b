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
constexpr int kKvBlocks = kAttentionBlock / kKvBlockTokens;
// KV blocks of a pass. Twice as many would not stay in the first-level cache beside what is
// fetched.
constexpr int kPassBlocks = 4;

struct Query {
  int position;
  int head;           // Of the call's heads.
  const float* from;  // [head_size]
  float* output;      // [head_size]
  float scale;        // sq
  float l;            // Of the blocks so far; their weighted values are in the output.
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
      : args_(args), parts_(parts), head_size_(args.cache.head_size), num_tokens_(args.num_tokens) {
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
                                  args_.output + first,   0.0f, 0.0f};
    }
    groups_[num_groups_ - 1].end = num_queries_;
  }

  // Removes the queries added and computes blocks [block_begin, block_end) for them, as far as they
  // see. False when one is NaN or infinite.
  bool run(int block_begin, int block_end) {
    for (int q = 0; q < num_queries_; ++q) {
      const HeadCodes from{queries_[q].from, head_size_, args_.cache.kv_bits, true};
      if (!store_head(from, query_codes_ + q * head_size_, &queries_[q].scale)) return false;
    }
    const int end = std::min(block_end * kAttentionBlock, last_position() + 1);
    find_codes(block_begin, end);
    for (int block = block_begin; block * kAttentionBlock < end; ++block) {
      find_codes(block + 1, end);
      attend(block);
    }
    if (parts_ == nullptr) {
      for (const Query& query : queries()) divide(query.l, head_size_, query.output);
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

  // Where the codes of a block's keys (or values) lie, for each group and KV block in use; null
  // behind those.
  struct Codes {
    int num_blocks;
    const char* of[kMaxQueries][kKvBlocks];
  };

  // Finds the codes of a block; there are none from position `end` on.
  void find_codes(int block, int end) {
    Codes& keys = keys_[block % 2];
    Codes& values = values_[block % 2];
    const auto bytes = static_cast<std::ptrdiff_t>(kv_block_bytes(head_size_, args_.cache.kv_bits));
    const int begin = block * kAttentionBlock;
    const int count =
        (std::min(end - begin, kAttentionBlock) + kKvBlockTokens - 1) / kKvBlockTokens;
    keys.num_blocks = values.num_blocks = count;
    for (int g = 0; g < num_groups_; ++g) {
      for (int i = 0; i < kKvBlocks; ++i) {
        keys.of[g][i] = values.of[g][i] = nullptr;
        if (i >= count) continue;
        const std::ptrdiff_t at = cache_block(groups_[g].kv_head, begin + i * kKvBlockTokens);
        keys.of[g][i] = static_cast<const char*>(args_.cache.keys) + at * bytes;
        values.of[g][i] = static_cast<const char*>(args_.cache.values) + at * bytes;
        __builtin_prefetch(args_.cache.key_scales + at * kKvBlockTokens);
        __builtin_prefetch(args_.cache.value_scales + at * kKvBlockTokens);
      }
    }
  }

  // The first query of the group that sees `position`.
  int first_that_sees(const Group& group, int position) const {
    int first = group.begin;
    while (first < group.end && queries_[first].position < position) ++first;
    return first;
  }

  // KV blocks [i, end) of a block, and the first query of the group that sees them.
  struct Run {
    int i;
    int end;
    int first;
  };

  // The longest run from the i-th KV block on: up to `end` for the queries of one token.
  Run run_from(const Group& group, int begin, int i, int end) const {
    Run run{i, i + 1, first_that_sees(group, begin + i * kKvBlockTokens)};
    if (num_tokens_ == 1) run.end = end;
    while (run.end < end && first_that_sees(group, begin + run.end * kKvBlockTokens) == run.first) {
      ++run.end;
    }
    return run;
  }

  // Reads some KV blocks for one group after the other, then some more; every pass fetches what the
  // next one reads, the last one what `then` begins with. (Queries of several tokens find the codes
  // in the second-level cache.)
  template <typename Use>
  void pass_over(int begin, const Codes& codes, const Codes& then, const Use& use) const {
    for (int i = 0; i < codes.num_blocks; i += kPassBlocks) {
      const int end = std::min(codes.num_blocks, i + kPassBlocks);
      for (int g = 0; g < num_groups_; ++g) {
        const char* const* next = g + 1 < num_groups_      ? codes.of[g + 1] + i
                                  : end < codes.num_blocks ? codes.of[0] + end
                                                           : then.of[0];
        if (num_tokens_ > 1) next = nullptr;
        for (Run run{i, i, 0}; run.end < end;) {
          run = run_from(groups_[g], begin, run.end, end);
          use(groups_[g], run,
              {codes.of[g] + run.i, run.end - run.i, args_.cache.kv_bits, head_size_, next});
        }
      }
    }
  }

  void attend(int block) {
    const int begin = block * kAttentionBlock;
    const int now = block % 2;
    const auto score_run = [this](const Group& group, const Run& run, const CodeRun& codes) {
      score(group, run, codes);
    };
    const auto weigh_run = [this](const Group& group, const Run& run, const CodeRun& codes) {
      weigh(group, run, codes);
    };
    pass_over(begin, keys_[now], values_[now], score_run);
    for (const Group& group : groups()) softmax(group, begin, keys_[now].num_blocks);
    std::memset(sums_, 0, sizeof *sums_ * static_cast<std::size_t>(num_queries_ * head_size_));
    pass_over(begin, values_[now], keys_[1 - now], weigh_run);
    if (parts_ == nullptr && block > 0) {
      fold_factors(block_largest_, num_queries_, {largest_, left_, right_});
    }
    for (const Group& group : groups()) {
      for (int q = first_that_sees(group, begin); q < group.end; ++q) finish(q, block);
    }
  }

  void score(const Group& group, const Run& run, const CodeRun& keys) {
    score_keys({keys, query_codes_ + run.first * head_size_, head_size_, group.end - run.first,
                reinterpret_cast<std::int32_t*>(scores_ + run.first * kAttentionBlock) +
                    run.i * kKvBlockTokens,
                kAttentionBlock});
  }

  void weigh(const Group& group, const Run& run, const CodeRun& values) {
    weigh_values({values, weights_ + run.first * kAttentionBlock + run.i * kKvBlockTokens,
                  kAttentionBlock, group.end - run.first, sums_ + run.first * head_size_,
                  head_size_});
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
      block_largest_[q] = of_block_[q].m;
      quantize_block(scales, of_block_[q], weights_ + q * kAttentionBlock);
    }
  }

  // Keeps or folds the result of a block for query q.
  void finish(int q, int block) {
    Query& query = queries_[q];
    const float l = of_block_[q].l;
    const float factor = of_block_[q].c / (args_.cache.kv_bits == 16 ? 4095.0f : 255.0f);  // c / Lp
    const std::int32_t* sums = sums_ + q * head_size_;
    if (parts_ != nullptr) {
      const std::ptrdiff_t row = static_cast<std::ptrdiff_t>(block) * args_.num_heads + query.head;
      scale_sums(sums, head_size_, factor, parts_->sums + row * head_size_);
      parts_->states[2 * row] = of_block_[q].m;
      parts_->states[2 * row + 1] = l;
    } else if (block == 0) {
      scale_sums(sums, head_size_, factor, query.output);
      query.l = l;
      largest_[q] = of_block_[q].m;
    } else {
      float o[kMaxHeadSize];
      scale_sums(sums, head_size_, factor, o);
      fold_output(o, head_size_, {left_[q], right_[q]}, query.output);
      query.l = __builtin_fmaf(l, right_[q], query.l * left_[q]);
    }
  }

  const AttentionArgs& args_;
  const AttentionPartArgs* parts_;
  const int head_size_;
  const int num_tokens_;
  float score_scale_;  // Of all scores.

  Codes keys_[2];  // Of this block and the next one, by parity.
  Codes values_[2];

  Query queries_[kMaxQueries];
  Group groups_[kMaxQueries];
  int num_queries_ = 0;
  int num_groups_ = 0;
  alignas(32) std::int16_t query_codes_[kMaxQueries * kMaxHeadSize];  // [num_queries, head_size]

  // Of the block that is being computed.
  alignas(32) float scores_[kMaxQueries * kAttentionBlock];
  alignas(32) std::int16_t weights_[kMaxQueries * kAttentionBlock];
  alignas(32) std::int32_t sums_[kMaxQueries * kMaxHeadSize];  // [num_queries, head_size]
  QueryBlock of_block_[kMaxQueries];
  float block_largest_[kMaxQueries] = {};

  // Of the blocks so far, and how they are folded with this one.
  float largest_[kMaxQueries] = {};
  float left_[kMaxQueries];
  float right_[kMaxQueries];
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
