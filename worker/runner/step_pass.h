// The arithmetic of one step on one rank, whatever computes it.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "base/result.h"
#include "worker/model_runner.h"
#include "worker/runner/step_batch.h"

namespace lockstep {

class StepPass {
 public:
  virtual ~StepPass() = default;

  // Makes room for the batch and looks up its hidden states: the rank that owns a row of the
  // embedding sends it.
  virtual Status begin(const StepBatch& batch) = 0;
  // Layers [first, last): attention and feed-forward, each with its residual.
  virtual Status run_layers(int first, int last) = 0;
  // Ends the step: the logits of this rank's vocabulary rows, [logit tokens, vocab().size()]; none
  // where none are wanted. The pass's own, until the next step.
  virtual Result<std::span<const float>> run_head() = 0;

  // The hidden state of a token as it is now. The pass's own, until the next call.
  virtual Result<std::span<const float>> hidden_of(int token) = 0;
  // After run_head: NonFinite::code of each scheduled sequence on this rank.
  virtual std::vector<std::uint32_t> non_finite_codes() const = 0;
  virtual const RunnerCounts& counts() const = 0;
};

}  // namespace lockstep
