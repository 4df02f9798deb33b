// Plans steps for the sequences of one replica. Pure: no clock, thread, socket or random source.
//
// A sequence knows its tokens and how many are computed; a step moves sequences toward their total
// under a token budget: decodes first, then prefill chunks in order. KV blocks are taken as they
// are needed; when none is left, who came last in the lowest class gives its blocks back and is
// computed again later. After warming up, plan_step and complete_step allocate nothing.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <unordered_map>
#include <vector>

#include "base/result.h"
#include "scheduler/block_pool.h"
#include "scheduler/fair_queue.h"
#include "scheduler/priority.h"
#include "scheduler/step_plan.h"

namespace lockstep {

struct SchedulerConfig {
  int max_step_tokens = 512;     // Bounds the latency of a step. >= 1
  int max_step_sequences = 256;  // That run at once; and at most max_step_tokens of them. >= 1
  int chunk_tokens = 512;        // Prompt tokens of one sequence in one step, at most. >= 1
  int num_blocks = 0;            // KV blocks of 16 tokens.
  bool reuse_prefixes = true;
  int max_sequences = 1 << 16;  // That wait or run. >= 1
  // What waits is lifted by one class for each time that many steps since its arrival. >= 0; 0:
  // never.
  std::int64_t age_steps = 512;
};

struct SequenceRequest {
  SequenceId id{};
  // The prompt, and behind it what another replica has answered already.
  std::vector<std::uint32_t> tokens;
  std::uint32_t prompt_tokens = 0;  // How many of them are the prompt; 0: all.
  std::uint32_t max_tokens = 0;     // That the sequence will hold at most, all together.
  PriorityClass priority = PriorityClass::kNormal;
  TenantId tenant{};
  CacheSalt salt;             // Prefixes are shared among equal salts alone.
  std::uint64_t arrival = 0;  // Smaller came first; equal ones by id.
  bool score_prompt = false;  // The logits of every prompt token are wanted, and no token.
};

// A token that a sampling sequence of the plan got.
struct SampledToken {
  SequenceId sequence{};
  std::uint32_t token = 0;
};

// What came out of a plan.
struct StepResult {
  GenerationId generation{};
  StepId step{};
  std::span<const SampledToken> sampled;  // In the order of the plan.
};

struct SchedulerCounts {  // So far.
  std::uint64_t preemptions = 0;
  std::uint64_t prefix_hits = 0;        // Admissions that took blocks from the cache.
  std::uint64_t cached_tokens = 0;      // That were taken from the cache.
  std::uint64_t prefill_tokens = 0;     // Planned in prefills.
  std::uint64_t completion_tokens = 0;  // Sampled.
};

class Scheduler {
 public:
  explicit Scheduler(const SchedulerConfig& config);
  ~Scheduler();

  // Queues a sequence. kExhausted when it could never fit, or when too many wait; kInvalidArgument
  // for no tokens, an id in use or nothing to compute.
  Status add(SequenceRequest request);

  // Plans one step; the plan stays as it is until the next call. An empty plan is not carried out:
  // there is nothing to do, or (num_waiting() > 0) room was made and the next call admits.
  //
  // Ensures: at most max_step_tokens tokens and max_step_sequences sequences, every entry has a
  // token, every planned token has a KV block, and nobody is admitted in a plan that preempted.
  // Requires: the step before was completed.
  const StepPlan& plan_step();

  // Says that the last plan was carried out, and what its sampling sequences got. False, and
  // nothing changed: this is not the result of the step in flight (an older generation, or twice).
  bool complete_step(const StepResult& result);

  // Ends a sequence, at once and from any state; its blocks can be used again in the next step.
  // Unknown ids are ignored.
  void finish(SequenceId id);

  // Ends everything, also the step in flight: its result will be dropped. Requires: greater than
  // the last.
  void begin_generation(GenerationId generation);

  // Of a tenant in the sharing of tokens inside a class; fair_queue.h.
  void set_weight(TenantId tenant, std::uint32_t weight) { queue_.set_weight(tenant, weight); }

  int num_waiting() const { return static_cast<int>(queue_.size()); }
  int num_running() const { return static_cast<int>(running_.size()); }
  const BlockPool& pool() const { return pool_; }
  const SchedulerCounts& counts() const { return counts_; }
  // Prompt tokens of a sequence that were taken from the cache when it was admitted first. 0 for an
  // unknown id.
  std::uint32_t cached_tokens(SequenceId id) const;

 private:
  struct Sequence;

  static bool runs_before(const Sequence& a, const Sequence& b);
  int blocks_missing(const Sequence& sequence) const;
  std::span<const std::uint32_t> reusable_tokens(const Sequence& sequence) const;
  void make_room();
  void schedule_running();
  void admit_waiting();
  void admit(Sequence& sequence, PriorityClass lane);
  std::uint32_t chunk_of(const Sequence& sequence) const;
  bool grow(Sequence& sequence, std::uint32_t num_tokens);
  void preempt_last();
  void schedule(Sequence& sequence, std::uint32_t num_tokens, bool decode);
  void complete(Sequence& sequence, const ScheduledSequence& entry, const SampledToken* sampled);
  void publish_full_blocks(Sequence& sequence);
  void settle(Sequence& sequence);
  void release(Sequence& sequence);
  void recycle_plan();

  SchedulerConfig config_;
  std::size_t max_running_;
  int longest_chunk_;
  BlockPool pool_;
  FairQueue queue_;  // What waits, by sequence id.
  std::unordered_map<SequenceId, std::unique_ptr<Sequence>> sequences_;
  std::vector<Sequence*> running_;  // By class and arrival: the last is preempted first.
  SchedulerCounts counts_;

  GenerationId generation_{};
  std::uint64_t next_step_ = 0;
  StepPlan plan_;
  bool in_flight_ = false;
  int prefill_tokens_left_ = 0;
  bool preempted_ = false;                         // While planning.
  std::vector<Sequence*> decodes_, prefills_;      // Of the plan's entries.
  std::vector<std::unique_ptr<Sequence>> ending_;  // Finished while their step is in flight.
  std::vector<SequenceId> finished_;               // For the next plan that is carried out.
  std::vector<ScheduledSequence> spare_decodes_, spare_prefills_;  // Keep their memory.
};

}  // namespace lockstep
