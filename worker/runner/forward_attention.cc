// Attention within a forward pass: keys and values go into the cache, and the threads share out the
// queries.
#include <algorithm>

#include "worker/runner/forward_pass.h"

namespace lockstep {

// Rotates queries and keys, and puts keys and values into the cache.
void ForwardPass::append_keys(int member, int layer) {
  const int heads = shard_.heads().size();
  const int kv_heads = shard_.kv_heads().size();
  const auto half = static_cast<std::size_t>(rope_.half());
  const kernels::KvCacheView cache = cache_.layer(layer);
  const Range share = share_of(static_cast<int>(num_tokens()), member, pool_.num_threads());
  for (auto t = static_cast<std::size_t>(share.begin); t < static_cast<std::size_t>(share.end);
       ++t) {
    distribute_heads(t, shard_.layer(layer));
    const BatchToken& token = batch_->tokens[t];
    const float* cosines = cosines_.data() + t * half;
    const float* sines = sines_.data() + t * half;
    backend_.rope({row(queries_, t, heads), heads * head_size_, cosines, sines, 1, heads,
                   head_size_, model().rotary_dims});
    backend_.rope({row(keys_, t, kv_heads), kv_heads * head_size_, cosines, sines, 1, kv_heads,
                   head_size_, model().rotary_dims});
    const auto& table = *batch_->tables[static_cast<std::size_t>(token.sequence)];
    const bool finite = backend_.append_kv({row(keys_, t, kv_heads), row(values_, t, kv_heads),
                                            cache, table[token.position / kBlockTokens],
                                            static_cast<int>(token.position % kBlockTokens)});
    if (!finite) flag(t, layer, Operation::kKeysValues);
  }
}

// Query heads `heads` of token `t`.
kernels::AttentionArgs ForwardPass::attention_of(std::size_t t, Range heads, int layer) {
  const int query_group = model().query_group();
  const int head = shard_.heads().begin + heads.begin;
  const BatchToken& token = batch_->tokens[t];
  kernels::AttentionArgs args{};
  args.queries = row(queries_, t, shard_.heads().size()) + heads.begin * head_size_;
  args.output = row(attended_, t, shard_.heads().size()) + heads.begin * head_size_;
  args.cache = cache_.layer(layer);
  args.block_table = batch_->tables[static_cast<std::size_t>(token.sequence)]->data();
  args.position = static_cast<int>(token.position);
  args.num_heads = heads.size();
  args.first_kv_head = head / query_group - shard_.kv_heads().begin;
  args.first_group_left = query_group - head % query_group;
  args.query_group = query_group;
  args.stride = shard_.heads().size() * head_size_;
  return args;
}

// Tokens [begin, end), runs of one sequence together, because they read the same keys.
void ForwardPass::attend_tokens(Range tokens, int layer) {
  const auto sequence = [&](int t) { return batch_->tokens[static_cast<std::size_t>(t)].sequence; };
  for (int t = tokens.begin; t < tokens.end;) {
    int end = t + 1;
    while (end < tokens.end && sequence(end) == sequence(t)) ++end;
    const Range heads{0, shard_.heads().size()};
    kernels::AttentionArgs args = attention_of(static_cast<std::size_t>(t), heads, layer);
    args.num_tokens = end - t;
    if (!backend_.attention(args)) find_bad_queries({t, end}, layer);
    t = end;
  }
}

// One token at a time, so that the blame falls on the right one.
void ForwardPass::find_bad_queries(Range tokens, int layer) {
  for (int t = tokens.begin; t < tokens.end; ++t) {
    const auto token = static_cast<std::size_t>(t);
    if (!backend_.attention(attention_of(token, {0, shard_.heads().size()}, layer))) {
      flag(token, layer, Operation::kQueries);
    }
  }
}

// Every query against its own sequence. Many tokens: the unit of work is some tokens. Few: it is a
// query head, or a piece of a long context.
void ForwardPass::attend(int member, int layer) {
  const auto tokens = static_cast<int>(num_tokens());
  const int members = pool_.num_threads();
  if (members == 1) return attend_tokens({0, tokens}, layer);
  if (share_tokens_) {
    constexpr int kTurn = 8;  // Tokens.
    const int turns = (tokens + kTurn - 1) / kTurn;
    return sharing_.run(member, turns, 1, [&](Range range) {
      attend_tokens({range.begin * kTurn, std::min(tokens, range.end * kTurn)}, layer);
    });
  }
  const int heads = shard_.heads().size();
  const auto units_of = [&](int t) {
    const auto token = static_cast<std::size_t>(t);
    return context_parts_[token].blocks > 0 ? part_of(token, layer).num_units() : heads;
  };
  const int units = total_size(tokens, units_of);
  sharing_.run(member, units, std::max(1, units / (4 * members)), [&](Range range) {
    for_range_of_lists(tokens, units_of, range,
                       [&](int t, Range of_token) { attend_units(t, of_token, layer); });
  });
  if (!splits_context_) return;
  pool_.barrier();
  const Range mine = share_of(heads, member, members);
  for (std::size_t t = 0; t < num_tokens(); ++t) {
    if (context_parts_[t].blocks == 0) continue;
    const kernels::AttentionPartArgs part = part_of(t, layer);
    backend_.attention_fold({part.sums, part.states, part.attention.output, part.num_blocks(),
                             heads, head_size_, mine.begin, mine.end});
  }
}

// Query heads of a token, or pieces of its context.
void ForwardPass::attend_units(int token, Range units, int layer) {
  const auto t = static_cast<std::size_t>(token);
  bool finite = true;
  if (context_parts_[t].blocks > 0) {
    kernels::AttentionPartArgs part = part_of(t, layer);
    part.unit_begin = units.begin;
    part.unit_end = units.end;
    finite = backend_.attention_part(part);
  } else {
    finite = backend_.attention(attention_of(t, units, layer));
  }
  if (!finite) flag(t, layer, Operation::kQueries);
}

kernels::AttentionPartArgs ForwardPass::part_of(std::size_t t, int layer) {
  const int heads = shard_.heads().size();
  const std::size_t first =
      static_cast<std::size_t>(context_parts_[t].first_block) * static_cast<std::size_t>(heads);
  return {attention_of(t, {0, heads}, layer),
          part_sums_.data() + first * static_cast<std::size_t>(head_size_),
          part_states_.data() + first * 2, 0, 0};
}

// Finds the tokens whose context is long enough for threads to share, and makes room for the parts.
void ForwardPass::plan_attention() {
  constexpr std::uint32_t kLongContext = 256;  // Less does not pay for another barrier.
  int blocks = 0;
  context_parts_.assign(num_tokens(), {});
  for (std::size_t t = 0; t < num_tokens() && pool_.num_threads() > 1 && !share_tokens_; ++t) {
    const std::uint32_t position = batch_->tokens[t].position;
    if (position < kLongContext) continue;
    const int count = static_cast<int>(position) / kernels::kAttentionBlock + 1;
    context_parts_[t] = {blocks, count};
    blocks += count;
  }
  splits_context_ = blocks > 0;
  const std::size_t states =
      static_cast<std::size_t>(blocks) * static_cast<std::size_t>(shard_.heads().size());
  part_sums_.resize(states * static_cast<std::size_t>(head_size_));
  part_states_.resize(states * 2);
}

}  // namespace lockstep
