#include "scheduler/scheduler.h"

#include <algorithm>
#include <optional>
#include <string>
#include <utility>

#include "base/check.h"
#include "base/checked.h"

namespace lockstep {

Scheduler::Scheduler(const SchedulerConfig& config) : config_(config), pool_(config.num_blocks) {
  CHECK(config.max_step_tokens >= 1, "a step needs a token");
  CHECK(config.max_step_sequences >= 1, "a step needs a sequence");
  CHECK(config.chunk_tokens >= 1, "a chunk needs a token");
}

Status Scheduler::add(SequenceId id, std::vector<std::uint32_t> prompt, std::uint32_t max_tokens,
                      bool score_prompt) {
  if (prompt.empty()) {
    return Error{ErrorCode::kInvalidArgument, "the prompt has no tokens"};
  }
  const auto has_id = [id](const Sequence& sequence) { return sequence.id == id; };
  if (std::ranges::any_of(waiting_, has_id) || std::ranges::any_of(running_, has_id)) {
    return Error{ErrorCode::kInvalidArgument, "the sequence id is in use"};
  }
  const auto prompt_tokens = narrow<std::uint32_t>(prompt.size());
  max_tokens = std::max(max_tokens, prompt_tokens + (score_prompt ? 0 : 1));
  const std::uint32_t needed = ceil_div<std::uint32_t>(max_tokens, kBlockTokens);
  if (needed > static_cast<std::uint32_t>(pool_.num_blocks())) {
    return Error{ErrorCode::kExhausted,
                 "the request may grow to " + std::to_string(max_tokens) +
                     " tokens, the KV cache holds " +
                     std::to_string(std::int64_t{pool_.num_blocks()} * kBlockTokens)};
  }
  Sequence sequence;
  sequence.id = id;
  sequence.tokens = std::move(prompt);
  sequence.prompt_tokens = prompt_tokens;
  sequence.max_tokens = max_tokens;
  sequence.score_prompt = score_prompt;
  waiting_.push_back(std::move(sequence));
  return {};
}

bool Scheduler::admit(Sequence& sequence) {
  // The last prompt token is always computed: its logits are wanted, and a shared block is never
  // written.
  const std::span<const std::uint32_t> reusable =
      config_.reuse_prefixes && !sequence.score_prompt
          ? std::span(sequence.tokens).first(sequence.tokens.size() - 1)
          : std::span<const std::uint32_t>();
  const BlockPool::PrefixMatch match = pool_.match_prefix(reusable);
  const int needed =
      static_cast<int>(ceil_div<std::uint32_t>(sequence.max_tokens, kBlockTokens)) - match.blocks;
  // Sharing takes the unreferenced blocks of the prefix out of those that take() could give.
  if (needed > pool_.num_available() - match.unreferenced) return false;
  sequence.table = pool_.share_prefix(reusable);
  sequence.published_blocks = sequence.table.size();
  sequence.num_cached = static_cast<std::uint32_t>(sequence.table.size()) * kBlockTokens;
  sequence.num_computed = sequence.num_cached;
  const auto taken = pool_.take(needed);
  CHECK(taken.has_value(), "the block pool broke its promise");
  sequence.table.insert(sequence.table.end(), taken->begin(), taken->end());
  return true;
}

ScheduledSequence Scheduler::schedule(Sequence& sequence, std::uint32_t num_tokens) {
  ScheduledSequence entry;
  entry.sequence = sequence.id;
  entry.first_position = sequence.num_computed;
  const auto begin = sequence.tokens.begin() + sequence.num_computed;
  entry.tokens.assign(begin, begin + num_tokens);
  const std::uint32_t end = sequence.num_computed + num_tokens;
  entry.known_blocks = static_cast<std::uint32_t>(sequence.announced_blocks);
  const std::size_t blocks = ceil_div<std::size_t>(end, kBlockTokens);
  CHECK(blocks <= sequence.table.size(), "a sequence outgrew its KV blocks");
  for (; sequence.announced_blocks < blocks; ++sequence.announced_blocks) {
    entry.new_blocks.push_back(sequence.table[sequence.announced_blocks]);
  }
  const bool last = end == sequence.tokens.size();
  entry.num_logits = sequence.score_prompt ? num_tokens : (last ? 1U : 0U);
  return entry;
}

StepPlan Scheduler::plan_step() {
  CHECK(current_.empty(), "plan_step before the last step was completed");
  StepPlan plan;
  plan.step = StepId{next_step_};
  int tokens_left = config_.max_step_tokens;
  int sequences_left = config_.max_step_sequences;

  for (Sequence& sequence : running_) {
    const bool decoding = sequence.num_computed >= sequence.prompt_tokens;
    if (!decoding || sequence.remaining() == 0) continue;
    if (tokens_left == 0 || sequences_left == 0) break;
    plan.decodes.push_back(schedule(sequence, 1));
    --tokens_left;
    --sequences_left;
  }
  const auto prefill = [&](Sequence& sequence) {
    const auto count = std::min({sequence.remaining(), static_cast<std::uint32_t>(tokens_left),
                                 static_cast<std::uint32_t>(config_.chunk_tokens)});
    plan.prefills.push_back(schedule(sequence, count));
    tokens_left -= static_cast<int>(count);
    --sequences_left;
  };
  for (Sequence& sequence : running_) {
    const bool prefilling = sequence.num_computed < sequence.prompt_tokens;
    if (prefilling && tokens_left > 0 && sequences_left > 0) prefill(sequence);
  }
  while (!waiting_.empty() && tokens_left > 0 && sequences_left > 0 && admit(waiting_.front())) {
    running_.push_back(std::move(waiting_.front()));
    waiting_.pop_front();
    prefill(running_.back());
  }

  CHECK(plan.num_tokens() <= config_.max_step_tokens, "step exceeds its token budget");
  if (plan.empty()) return plan;  // Nobody carries it out: the next one names what has ended.
  plan.finished = std::exchange(finished_, {});
  ++next_step_;
  current_ = plan;
  return plan;
}

void Scheduler::publish_full_blocks(Sequence& sequence) {
  while ((sequence.published_blocks + 1) * kBlockTokens <= sequence.num_computed) {
    const std::size_t i = sequence.published_blocks++;
    const auto parent = i == 0 ? std::nullopt : std::optional(sequence.table[i - 1]);
    pool_.publish(sequence.table[i], parent,
                  std::span(sequence.tokens).subspan(i * kBlockTokens, kBlockTokens));
  }
}

void Scheduler::complete_step(std::span<const SampledToken> sampled) {
  auto next = sampled.begin();
  const auto complete = [&](const ScheduledSequence& entry) {
    const bool has_token =
        entry.num_logits > 0 && next != sampled.end() && next->sequence == entry.sequence;
    const auto found = std::ranges::find(running_, entry.sequence, &Sequence::id);
    if (found != running_.end()) {  // Else it was finished while the step ran.
      found->num_computed += static_cast<std::uint32_t>(entry.tokens.size());
      if (config_.reuse_prefixes) publish_full_blocks(*found);
      if (has_token) found->tokens.push_back(next->token);
    }
    if (has_token) ++next;
  };
  for (const auto& entry : current_.decodes) complete(entry);
  for (const auto& entry : current_.prefills) complete(entry);
  CHECK(next == sampled.end(), "a sampled token that the plan did not ask for");
  current_ = StepPlan{};
}

void Scheduler::finish(SequenceId id) {
  const auto running = std::ranges::find(running_, id, &Sequence::id);
  if (running != running_.end()) {
    pool_.release(running->table);
    if (running->announced_blocks > 0) finished_.push_back(id);
    running_.erase(running);
    return;
  }
  const auto waiting = std::ranges::find(waiting_, id, &Sequence::id);
  if (waiting != waiting_.end()) waiting_.erase(waiting);
}

std::uint32_t Scheduler::cached_tokens(SequenceId id) const {
  const auto running = std::ranges::find(running_, id, &Sequence::id);
  return running == running_.end() ? 0 : running->num_cached;
}

}  // namespace lockstep
