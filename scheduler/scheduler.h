// Plans steps for the sequences of one replica. Pure: no clock, thread, socket or random source.
//
// A sequence knows its tokens and how many of them are computed; a step moves sequences toward
// their total under a token budget: decodes first, then prefill chunks in order of arrival. First
// come, first served; a sequence is admitted when the KV blocks of its whole possible length are
// available, so it never has to be taken back.
#pragma once

#include <cstdint>
#include <deque>
#include <map>
#include <span>
#include <vector>

#include "base/result.h"
#include "scheduler/block_pool.h"
#include "scheduler/step_plan.h"

namespace lockstep {

struct SchedulerConfig {
  int max_step_tokens = 512;     // Bounds the latency of a step. >= 1
  int max_step_sequences = 256;  // >= 1
  int chunk_tokens = 512;        // Prompt tokens of one sequence in one step, at most. >= 1
  int num_blocks = 0;            // KV blocks of 16 tokens.
  bool reuse_prefixes = true;
};

// A token that a sampling sequence of the last plan got.
struct SampledToken {
  SequenceId sequence{};
  std::uint32_t token = 0;
};

class Scheduler {
 public:
  explicit Scheduler(const SchedulerConfig& config);

  // Queues a sequence that will hold at most `max_tokens` tokens, prompt included. kExhausted when
  // it could never fit; kInvalidArgument for an empty prompt or an id in use. With `score_prompt`
  // the logits of every prompt token are wanted, so nothing is taken from the cache.
  Status add(SequenceId id, std::vector<std::uint32_t> prompt, std::uint32_t max_tokens,
             bool score_prompt = false);

  // Plans one step; an empty plan means that there is nothing to do.
  //
  // Ensures: at most max_step_tokens tokens and max_step_sequences sequences, every entry has a
  // token, and every planned token has a KV block. Requires: the step before was completed.
  StepPlan plan_step();

  // Says that the last plan was carried out, and what its sampling sequences got, in the order of
  // the plan.
  void complete_step(std::span<const SampledToken> sampled);

  // Ends a sequence, at once and from any state; its blocks can be used again in the next step.
  // Unknown ids are ignored.
  void finish(SequenceId id);

  int num_waiting() const { return static_cast<int>(waiting_.size()); }
  int num_running() const { return static_cast<int>(running_.size()); }
  const BlockPool& pool() const { return pool_; }
  // Prompt tokens of a running sequence that were taken from the cache. 0 for an unknown id.
  std::uint32_t cached_tokens(SequenceId id) const;

 private:
  struct Sequence {
    SequenceId id{};
    std::vector<std::uint32_t> tokens;
    std::uint32_t prompt_tokens = 0;
    std::uint32_t max_tokens = 0;
    std::uint32_t num_computed = 0;  // Tokens whose keys and values are in the cache.
    std::uint32_t num_cached = 0;    // Of those, taken from blocks of others.
    bool score_prompt = false;
    std::vector<BlockId> table;
    std::size_t announced_blocks = 0;  // Blocks of the table that a plan has named.
    std::size_t published_blocks = 0;

    std::uint32_t remaining() const {
      return static_cast<std::uint32_t>(tokens.size()) - num_computed;
    }
  };

  bool admit(Sequence& sequence);
  ScheduledSequence schedule(Sequence& sequence, std::uint32_t num_tokens);
  void publish_full_blocks(Sequence& sequence);

  SchedulerConfig config_;
  BlockPool pool_;
  std::deque<Sequence> waiting_;
  std::vector<Sequence> running_;  // In order of arrival.
  std::vector<SequenceId> finished_;
  StepPlan current_;
  std::uint64_t next_step_ = 0;
};

}  // namespace lockstep
