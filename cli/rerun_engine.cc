#include "cli/rerun_engine.h"

#include <string>

#include "cli/generation.h"

namespace lockstep {

Result<std::unique_ptr<RerunEngine>> RerunEngine::open(ReplicaOptions options,
                                                       std::uint32_t context_tokens) {
  options.context_tokens = context_tokens;
  std::unique_ptr<RerunEngine> engine(new RerunEngine);
  LOCKSTEP_TRY_ASSIGN(engine->session_, ReplicaSession::open(options), "--model");
  if (!engine->session_->leads()) {
    return Error{ErrorCode::kInvalidArgument, "--rerun: runs in one process, not under mpirun"};
  }
  // Stop strings are found in the text, so the tokenizer is part of the answer.
  LOCKSTEP_TRY_ASSIGN(const std::string blob,
                      engine->session_->store().read_blob(TensorKind::kTokenizer), "tokenizer");
  LOCKSTEP_TRY_ASSIGN(engine->tokenizer_, Tokenizer::from_json(blob), "tokenizer");
  LOCKSTEP_TRY(engine->session_->load(Status()), "--model");
  engine->leader_ = std::make_unique<Leader>(engine->session_->rank(), &*engine->tokenizer_);
  return engine;
}

Result<RerunOutcome> RerunEngine::run(const RecordedJob& job) {
  Request request;
  request.prompt = job.assignment.prompt_ids;
  request.sampling = job.assignment.sampling;
  LOCKSTEP_TRY_ASSIGN(const Generation generation, generate(*leader_, std::move(request), nullptr),
                      "rerun");
  if (generation.interrupted) return Error{ErrorCode::kAborted, "rerun: interrupted"};
  JobResult result = make_result(generation.completion, job.assigned.sequence);
  return RerunOutcome{.completion_ids = std::move(result.completion_ids),
                      .finish_reason = result.finish_reason,
                      .token_digests = std::move(result.token_digests)};
}

}  // namespace lockstep
