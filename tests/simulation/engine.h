// A replica's model and KV cache over the real Scheduler: block contents are remembered word by
// word, and every token reads all that lies below it.
#pragma once

#include <array>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <unordered_map>
#include <vector>

#include "base/wire.h"
#include "scheduler/scheduler.h"
#include "tests/simulation/trace.h"

namespace lockstep::simulation {

class Engine {
 public:
  struct Event {
    SequenceId sequence{};
    std::uint32_t token = 0;
    std::optional<ChoiceEnd> end;
  };

  explicit Engine(const SchedulerConfig& config);

  Result<SequenceId> add(const AssignMessage& order);
  void cancel(SequenceId id);
  // Drops everything.
  void begin_generation(std::uint64_t epoch);
  bool idle() const { return sequences_.empty(); }

  // Plans a step; its number of tokens. Nothing: there is nothing to do.
  std::optional<int> begin_step(Trace& trace);
  // Carries it out. Nothing: no rank could do that, the replica is lost.
  std::optional<std::vector<Event>> end_step();

  BeatMessage beat() const;
  const SchedulerCounts& counts() const { return scheduler_.counts(); }

 private:
  struct Sequence {
    std::uint64_t salt = 0;
    std::uint64_t seed = 0;
    std::uint32_t choice = 0;
    std::uint32_t prompt_tokens = 0;
    std::uint32_t num_tokens = 0;  // Of the completion.
    std::uint32_t max_tokens = 0;  // Of the completion.
    std::uint32_t computed_tokens = 0;
    std::uint32_t steps = 0;
  };

  struct Table {  // As every rank holds it.
    std::uint64_t salt = 0;
    std::vector<BlockId> blocks;
  };

  bool compute(const ScheduledSequence& entry, std::uint64_t& context);
  bool sample(const ScheduledSequence& entry, std::vector<Event>& events);
  TenantId tenant_of(const std::string& name);

  Scheduler scheduler_;
  const StepPlan* plan_ = nullptr;  // The scheduler's, until the next.
  std::unordered_map<SequenceId, Sequence> sequences_;
  std::unordered_map<SequenceId, Table> tables_;
  std::vector<std::array<std::uint64_t, kBlockTokens>> cache_;
  std::map<std::string, TenantId> tenants_;
  std::uint64_t next_id_ = 1;
  std::uint64_t steps_ = 0;
};

}  // namespace lockstep::simulation
