// Runs recorded jobs again on a store: what `chain verify --rerun` compares with. The one place
// where the chain command meets the engine.
#pragma once

#include <cstdint>
#include <memory>

#include "chainbridge/rerun.h"
#include "cli/replica_session.h"
#include "worker/leader.h"

namespace lockstep {

// Threads of this process alone. Not thread-safe.
class RerunEngine {
 public:
  // Loads the model. `context_tokens`: the longest context limit of the jobs to come; 0 is the
  // model's.
  static Result<std::unique_ptr<RerunEngine>> open(ReplicaOptions options,
                                                   std::uint32_t context_tokens);

  const Digest& model_id() const { return session_->store().manifest().model_id; }

  // The job's prompt and sampling once more, alone. kAborted after Ctrl-C.
  Result<RerunOutcome> run(const RecordedJob& job);

 private:
  RerunEngine() = default;

  std::unique_ptr<ReplicaSession> session_;
  std::optional<Tokenizer> tokenizer_;
  std::unique_ptr<Leader> leader_;
};

}  // namespace lockstep
