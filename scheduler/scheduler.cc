#include "scheduler/scheduler.h"

#include <algorithm>
#include <optional>
#include <string>
#include <tuple>
#include <utility>

#include "base/check.h"
#include "base/checked.h"

namespace lockstep {
namespace {

FairQueue::ItemId item_of(SequenceId id) { return static_cast<FairQueue::ItemId>(id); }

std::uint32_t blocks_of(std::size_t tokens) {
  return narrow<std::uint32_t>(ceil_div<std::size_t>(tokens, kBlockTokens));
}

// An entry that was used before, with the memory of its vectors, or a new one with room for
// `num_tokens`.
ScheduledSequence& reuse_entry(std::vector<ScheduledSequence>& spare,
                               std::vector<ScheduledSequence>& entries, int num_tokens) {
  if (spare.empty()) {
    entries.emplace_back();
    entries.back().tokens.reserve(static_cast<std::size_t>(num_tokens));
    entries.back().new_blocks.reserve(static_cast<std::size_t>(num_tokens / kBlockTokens) + 1);
  } else {
    entries.push_back(std::move(spare.back()));
    spare.pop_back();
    entries.back().tokens.clear();
    entries.back().new_blocks.clear();
  }
  return entries.back();
}

}  // namespace

struct Scheduler::Sequence {
  SequenceRequest request;                      // `tokens` grow.
  PriorityClass lane = PriorityClass::kNormal;  // The class that it was admitted in.
  std::int64_t since = 0;           // The step of its arrival: who came first ages first.
  std::uint32_t num_computed = 0;   // Tokens whose keys and values are in the cache.
  std::uint32_t num_cached = 0;     // Prompt tokens taken from the cache at first.
  std::uint32_t num_uncharged = 0;  // Completion tokens that its tenant still has to pay.
  bool was_admitted = false;
  bool in_step = false;  // The step in flight computes tokens of it.
  bool ended = false;    // While its step is in flight.
  std::vector<BlockId> table;
  std::size_t announced_blocks = 0;  // Blocks of the table that a plan has named.
  std::size_t published_blocks = 0;

  std::size_t num_tokens() const { return request.tokens.size(); }
  std::uint32_t remaining() const {
    return static_cast<std::uint32_t>(num_tokens()) - num_computed;
  }
  // One token behind a prompt that is computed.
  bool decodes() const { return remaining() == 1 && num_computed >= request.prompt_tokens; }
};

Scheduler::Scheduler(const SchedulerConfig& config)
    : config_(config),
      max_running_(
          static_cast<std::size_t>(std::min(config.max_step_sequences, config.max_step_tokens))),
      longest_chunk_(std::min(config.chunk_tokens, config.max_step_tokens)),
      pool_(config.num_blocks),
      queue_({.age_after = config.age_steps}) {
  CHECK(config.max_step_tokens >= 1, "a step needs a token");
  CHECK(config.max_step_sequences >= 1, "a step needs a sequence");
  CHECK(config.chunk_tokens >= 1, "a chunk needs a token");
  CHECK(config.max_sequences >= 1, "a scheduler needs a sequence");
}

Scheduler::~Scheduler() = default;

Status Scheduler::add(SequenceRequest request) {
  if (request.tokens.empty()) {
    return Error{ErrorCode::kInvalidArgument, "the prompt has no tokens"};
  }
  if (sequences_.contains(request.id)) {
    return Error{ErrorCode::kInvalidArgument, "the sequence id is in use"};
  }
  const auto known = narrow<std::uint32_t>(request.tokens.size());
  if (request.prompt_tokens == 0) request.prompt_tokens = known;
  if (request.prompt_tokens > known || (request.score_prompt && request.prompt_tokens < known)) {
    return Error{ErrorCode::kInvalidArgument, "the prompt is longer or shorter than its tokens"};
  }
  request.max_tokens = std::max(request.max_tokens, known + (request.score_prompt ? 0 : 1));
  if (blocks_of(request.max_tokens) > static_cast<std::uint32_t>(pool_.num_blocks())) {
    return Error{ErrorCode::kExhausted,
                 "the request may grow to " + std::to_string(request.max_tokens) +
                     " tokens, the KV cache holds " +
                     std::to_string(std::int64_t{pool_.num_blocks()} * kBlockTokens)};
  }
  if (sequences_.size() >= static_cast<std::size_t>(config_.max_sequences)) {
    return Error{ErrorCode::kExhausted, "more than " + std::to_string(config_.max_sequences) +
                                            " sequences at once; try again later"};
  }
  auto sequence = std::make_unique<Sequence>();
  sequence->request = std::move(request);
  const SequenceRequest& r = sequence->request;
  sequence->since = static_cast<std::int64_t>(next_step_);
  queue_.push({item_of(r.id), r.priority, r.tenant, r.arrival, sequence->since});
  sequences_.emplace(r.id, std::move(sequence));
  return {};
}

bool Scheduler::runs_before(const Sequence& a, const Sequence& b) {
  return std::tie(a.lane, a.request.arrival, a.request.id) <
         std::tie(b.lane, b.request.arrival, b.request.id);
}

// The last token is always computed: its logits are wanted, and a shared block is never written.
std::span<const std::uint32_t> Scheduler::reusable_tokens(const Sequence& sequence) const {
  if (!config_.reuse_prefixes || sequence.request.score_prompt) return {};
  return std::span(sequence.request.tokens).first(sequence.num_tokens() - 1);
}

// Blocks that must become available before the sequence is admitted: those of all its tokens so
// far, so that its prefill does not take itself back, and room for the others to grow.
int Scheduler::blocks_missing(const Sequence& sequence) const {
  const int total = static_cast<int>(blocks_of(sequence.num_tokens()));
  const int margin = running_.empty() ? 0 : std::max(1, pool_.num_blocks() / 100);
  if (pool_.num_available() == 0) return total + margin;
  const auto match = pool_.match_prefix(sequence.request.salt, reusable_tokens(sequence));
  // Sharing takes the unreferenced blocks of the prefix out of those that take() could give.
  return total - match.blocks + margin - (pool_.num_available() - match.unreferenced);
}

// Where the next in line cannot be admitted because lower classes run, they make room.
void Scheduler::make_room() {
  const auto next = queue_.peek(static_cast<std::int64_t>(next_step_));
  if (!next || running_.empty() || running_.back()->lane <= next->lane) return;
  const Sequence& head = *sequences_.at(SequenceId{next->id});
  const auto fits = [&] { return running_.size() < max_running_ && blocks_missing(head) <= 0; };
  if (fits()) return;
  int gain = 0;
  for (const Sequence* sequence : running_) {
    if (sequence->lane > next->lane) gain += static_cast<int>(sequence->table.size());
  }
  if (blocks_missing(head) > gain) return;  // In vain.
  while (!running_.empty() && running_.back()->lane > next->lane && !fits()) preempt_last();
}

void Scheduler::preempt_last() {
  Sequence& sequence = *running_.back();
  running_.pop_back();
  settle(sequence);
  release(sequence);
  const SequenceRequest& r = sequence.request;
  queue_.push({item_of(r.id), r.priority, r.tenant, r.arrival, sequence.since});
  ++counts_.preemptions;
  preempted_ = true;
}

// Takes the blocks that the next tokens need, from whoever comes last. False: that was itself.
bool Scheduler::grow(Sequence& sequence, std::uint32_t num_tokens) {
  const std::size_t needed = blocks_of(sequence.num_computed + num_tokens);
  if (needed <= sequence.table.size()) return true;
  const int missing = static_cast<int>(needed - sequence.table.size());
  while (!pool_.take(missing, sequence.table)) {
    const bool itself = running_.back() == &sequence;
    preempt_last();
    if (itself) return false;
  }
  return true;
}

std::uint32_t Scheduler::chunk_of(const Sequence& sequence) const {
  return std::min({sequence.remaining(), static_cast<std::uint32_t>(prefill_tokens_left_),
                   static_cast<std::uint32_t>(config_.chunk_tokens)});
}

void Scheduler::schedule(Sequence& sequence, std::uint32_t num_tokens, bool decode) {
  ScheduledSequence& entry = decode ? reuse_entry(spare_decodes_, plan_.decodes, 1)
                                    : reuse_entry(spare_prefills_, plan_.prefills, longest_chunk_);
  (decode ? decodes_ : prefills_).push_back(&sequence);
  entry.sequence = sequence.request.id;
  entry.first_position = sequence.num_computed;
  const auto begin = sequence.request.tokens.begin() + sequence.num_computed;
  entry.tokens.assign(begin, begin + num_tokens);
  entry.known_blocks = static_cast<std::uint32_t>(sequence.announced_blocks);
  for (; sequence.announced_blocks < sequence.table.size(); ++sequence.announced_blocks) {
    entry.new_blocks.push_back(sequence.table[sequence.announced_blocks]);
  }
  const bool last = num_tokens == sequence.remaining();
  entry.num_logits = sequence.request.score_prompt ? num_tokens : (last ? 1U : 0U);
  sequence.in_step = true;
}

// Who runs, best first. Victims come from the end, so nobody that has its place in the step loses
// it.
void Scheduler::schedule_running() {
  const auto decodes = [](const Sequence* sequence) { return sequence->decodes(); };
  prefill_tokens_left_ =
      config_.max_step_tokens - static_cast<int>(std::ranges::count_if(running_, decodes));
  for (std::size_t i = 0; i < running_.size(); ++i) {
    Sequence& sequence = *running_[i];
    const bool decode = sequence.decodes();
    const std::uint32_t num_tokens = decode ? 1 : chunk_of(sequence);
    if (num_tokens == 0 || !grow(sequence, num_tokens)) continue;
    schedule(sequence, num_tokens, decode);
    if (!decode) prefill_tokens_left_ -= static_cast<int>(num_tokens);
  }
}

void Scheduler::admit(Sequence& sequence, PriorityClass lane) {
  SequenceRequest& request = sequence.request;
  request.tokens.reserve(request.max_tokens);
  sequence.table.reserve(blocks_of(request.max_tokens));
  pool_.share_prefix(request.salt, reusable_tokens(sequence), sequence.table);
  sequence.published_blocks = sequence.table.size();
  sequence.num_computed = static_cast<std::uint32_t>(sequence.table.size()) * kBlockTokens;
  sequence.lane = lane;
  counts_.cached_tokens += sequence.num_computed;
  counts_.prefix_hits += sequence.table.empty() ? 0 : 1;
  if (!sequence.was_admitted) {  // Nobody pays for being computed again.
    sequence.num_cached = std::min(sequence.num_computed, request.prompt_tokens);
    queue_.charge(lane, request.tenant, request.prompt_tokens, 0);
    sequence.was_admitted = true;
  }
  const auto after = [&](const Sequence* other) { return runs_before(sequence, *other); };
  running_.insert(std::ranges::find_if(running_, after), &sequence);
}

void Scheduler::admit_waiting() {
  while (prefill_tokens_left_ > 0 && running_.size() < max_running_) {
    const auto next = queue_.peek(static_cast<std::int64_t>(next_step_));
    if (!next) return;
    Sequence& sequence = *sequences_.at(SequenceId{next->id});
    if (blocks_missing(sequence) > 0) return;  // Nobody overtakes.
    queue_.remove(next->id);
    admit(sequence, next->lane);
    const std::uint32_t num_tokens = chunk_of(sequence);
    const int blocks =
        static_cast<int>(blocks_of(sequence.num_computed + num_tokens) - sequence.table.size());
    CHECK(pool_.take(blocks, sequence.table), "the block pool broke its promise");
    schedule(sequence, num_tokens, false);
    prefill_tokens_left_ -= static_cast<int>(num_tokens);
  }
}

void Scheduler::recycle_plan() {
  for (auto& entry : plan_.decodes) spare_decodes_.push_back(std::move(entry));
  for (auto& entry : plan_.prefills) spare_prefills_.push_back(std::move(entry));
  plan_.decodes.clear();
  plan_.prefills.clear();
  plan_.finished.clear();
  decodes_.clear();
  prefills_.clear();
}

const StepPlan& Scheduler::plan_step() {
  CHECK(!in_flight_, "plan_step before the last step was completed");
  recycle_plan();
  plan_.generation = generation_;
  plan_.step = StepId{next_step_};
  preempted_ = false;
  make_room();
  schedule_running();
  if (!preempted_) admit_waiting();
  CHECK(plan_.num_tokens() <= config_.max_step_tokens, "step exceeds its token budget");
  if (plan_.empty()) return plan_;  // Nobody carries it out: the next one names what has ended.
  plan_.finished.swap(finished_);
  ++next_step_;
  in_flight_ = true;
  return plan_;
}

void Scheduler::publish_full_blocks(Sequence& sequence) {
  while ((sequence.published_blocks + 1) * kBlockTokens <= sequence.num_computed) {
    const std::size_t i = sequence.published_blocks++;
    const auto parent = i == 0 ? std::nullopt : std::optional(sequence.table[i - 1]);
    pool_.publish(sequence.table[i], parent, sequence.request.salt,
                  std::span(sequence.request.tokens).subspan(i * kBlockTokens, kBlockTokens));
  }
}

// Charges what was sampled since the last time.
void Scheduler::settle(Sequence& sequence) {
  if (sequence.num_uncharged == 0) return;
  queue_.charge(sequence.lane, sequence.request.tenant, 0, sequence.num_uncharged);
  sequence.num_uncharged = 0;
}

void Scheduler::complete(Sequence& sequence, const ScheduledSequence& entry,
                         const SampledToken* sampled) {
  sequence.in_step = false;
  if (sequence.ended) return;
  sequence.num_computed += static_cast<std::uint32_t>(entry.tokens.size());
  if (config_.reuse_prefixes) publish_full_blocks(sequence);
  if (sampled == nullptr) return;
  CHECK(sequence.num_tokens() < sequence.request.max_tokens, "a sequence outgrew its length");
  sequence.request.tokens.push_back(sampled->token);
  ++counts_.completion_tokens;
  // By the block, as memory: a fraction of the work, and fair within a block per sequence.
  if (++sequence.num_uncharged == kBlockTokens) settle(sequence);
}

bool Scheduler::complete_step(const StepResult& result) {
  if (!in_flight_ || result.generation != generation_ || result.step != plan_.step) return false;
  auto next = result.sampled.begin();
  const auto complete_all = [&](const std::vector<ScheduledSequence>& entries,
                                const std::vector<Sequence*>& sequences) {
    for (std::size_t i = 0; i < entries.size(); ++i) {
      const bool has_token = entries[i].num_logits > 0 && next != result.sampled.end() &&
                             next->sequence == entries[i].sequence;
      complete(*sequences[i], entries[i], has_token ? &*next : nullptr);
      if (has_token) ++next;
    }
  };
  complete_all(plan_.decodes, decodes_);
  complete_all(plan_.prefills, prefills_);
  CHECK(next == result.sampled.end(), "a sampled token that the plan did not ask for");
  for (const auto& entry : plan_.prefills) counts_.prefill_tokens += entry.tokens.size();
  for (const auto& sequence : ending_) release(*sequence);
  ending_.clear();
  in_flight_ = false;
  return true;
}

// Gives back the blocks and, where ranks know of them, says so.
void Scheduler::release(Sequence& sequence) {
  pool_.release(sequence.table);
  sequence.table.clear();
  if (sequence.announced_blocks > 0) finished_.push_back(sequence.request.id);
  sequence.announced_blocks = 0;
  sequence.published_blocks = 0;
}

void Scheduler::finish(SequenceId id) {
  const auto found = sequences_.find(id);
  if (found == sequences_.end()) return;
  std::unique_ptr<Sequence> sequence = std::move(found->second);
  sequences_.erase(found);
  if (!queue_.remove(item_of(id))) {
    std::erase(running_, sequence.get());
    settle(*sequence);
  }
  if (sequence->in_step) {  // Ranks may be writing to its blocks.
    sequence->ended = true;
    ending_.push_back(std::move(sequence));
  } else {
    release(*sequence);
  }
}

void Scheduler::begin_generation(GenerationId generation) {
  CHECK(generation > generation_, "a generation is greater than the last");
  while (!sequences_.empty()) finish(sequences_.begin()->first);
  for (const auto& sequence : ending_) release(*sequence);
  ending_.clear();
  generation_ = generation;
  in_flight_ = false;
}

std::uint32_t Scheduler::cached_tokens(SequenceId id) const {
  const auto found = sequences_.find(id);
  return found == sequences_.end() ? 0 : found->second->num_cached;
}

}  // namespace lockstep
