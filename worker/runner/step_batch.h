// A step plan, flattened into the tokens of one batch.
#pragma once

#include <cstdint>
#include <map>
#include <vector>

#include "base/result.h"
#include "scheduler/step_plan.h"

namespace lockstep {

struct BatchToken {
  std::uint32_t token = 0;
  std::uint32_t position = 0;
  int sequence = 0;  // Index into StepBatch::tables.
};

struct StepBatch {
  std::vector<BatchToken> tokens;
  std::vector<const std::vector<std::int32_t>*> tables;  // Block table of each scheduled sequence.
  std::vector<int> logit_tokens;  // Indices into `tokens` of those whose logits are wanted.
  int traced_token = -1;          // The last token of the step.
};

// The block tables of a rank's running sequences, as the plans have built them up.
class BlockTables {
 public:
  BlockTables(int num_blocks, std::uint32_t vocab_size)
      : num_blocks_(num_blocks), vocab_size_(vocab_size) {}

  // Applies the plan to the tables and flattens it. The batch points into the tables: valid until
  // the next call. kInvalidArgument when a block, a token or a position is out of range.
  Result<StepBatch> apply(const StepPlan& plan);

 private:
  Status append(const ScheduledSequence& entry, StepBatch& batch);

  int num_blocks_;
  std::uint32_t vocab_size_;
  std::map<SequenceId, std::vector<std::int32_t>> tables_;
};

}  // namespace lockstep
