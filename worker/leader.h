// Rank 0's step loop: owns the scheduler, samples, and turns tokens into text. One thread.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "scheduler/scheduler.h"
#include "sharding/stop_matcher.h"
#include "sharding/tokenizer.h"
#include "worker/completion.h"
#include "worker/logprobs.h"
#include "worker/rank.h"
#include "worker/sampler.h"

namespace lockstep {

// What a step did for one sequence.
struct SequenceEvent {
  SequenceId sequence{};
  std::optional<std::uint32_t> token;  // Sampled in this step.
  Digest logits_digest;                // Of the logits that chose it; 0 with TraceKind::kTokens.
  TokenLogprobs logprobs;              // When the request asked for them; logprobs.h.
  std::string text;                    // That can be shown now.
  bool finished = false;
  Status status;  // Not ok: the sequence ended with this error (finished is true).
};

class Leader {
 public:
  // `rank` (rank 0) must outlive the leader, `tokenizer` too; without a tokenizer there is no text,
  // no end token and no stop string.
  Leader(Rank& rank, const Tokenizer* tokenizer);
  ~Leader();

  // Accepts a request. kInvalidArgument names the field; a prompt that leaves no room for a token
  // is refused. kExhausted: it could never fit into the KV cache, or too many wait. Where the
  // delivered tokens were all of the answer, the next step() only says how it ended.
  Result<SequenceId> add(Request request);

  // One step of everything that runs; no events and nothing done when nothing waits or runs. An
  // error means that the replica is lost.
  Result<std::vector<SequenceEvent>> step();

  // Drops every sequence, also those that have ended and were not taken. Requires: greater than the
  // last generation.
  void begin_generation(GenerationId generation);

  bool idle() const;

  // Ends a sequence now. What it has so far stays readable by take().
  void cancel(SequenceId id);

  // The completion of a finished or cancelled sequence, once. Requires: it is one.
  Completion take(SequenceId id);

  const Scheduler& scheduler() const { return scheduler_; }
  Rank& rank() { return rank_; }

 private:
  struct Sequence;
  std::optional<SequenceEvent> handle(const ScheduledSequence& entry, std::span<const float> logits,
                                      NonFinite bad);
  SequenceEvent sample(Sequence& sequence, std::span<const float> logits);
  void append(Sequence& sequence, std::uint32_t token, const Digest& logits_digest,
              SequenceEvent& event);
  void finish(Sequence& sequence, FinishReason reason, SequenceEvent& event);
  Status check(const Request& request) const;
  Status resume(Sequence& sequence, SequenceEvent& event);
  Status schedule(const Sequence& sequence);

  Rank& rank_;
  const Tokenizer* tokenizer_;
  Scheduler scheduler_;
  Sampler sampler_;
  std::map<SequenceId, std::unique_ptr<Sequence>> sequences_;
  std::vector<SequenceEvent> ended_on_arrival_;  // For the next step().
  std::uint64_t next_id_ = 1;
};

}  // namespace lockstep
