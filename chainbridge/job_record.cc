#include "chainbridge/job_record.h"

#include <limits>

namespace lockstep {
namespace {

// Off chain a job is attempted once; a failover inside the replica changes nothing.
constexpr std::uint64_t kAttempt = 1;

Error invalid(const std::string& message) { return Error{ErrorCode::kInvalidArgument, message}; }

Status validate_ranks(const std::vector<AssignedRank>& ranks) {
  if (ranks.empty()) return invalid("ranks: none is assigned");
  std::uint64_t next = 0;
  for (std::size_t i = 0; i < ranks.size(); ++i) {
    if (ranks[i].num_parts == 0)
      return invalid("ranks: rank " + std::to_string(i) + " has no part");
    if (ranks[i].first_part != next) {
      return invalid("ranks: rank " + std::to_string(i) + " starts at part " +
                     std::to_string(ranks[i].first_part) + ", not " + std::to_string(next));
    }
    next += ranks[i].num_parts;
  }
  return {};
}

Status validate_sampling(const SamplingParams& sampling) {
  if (sampling.max_completion_tokens == 0) return invalid("max_completion_tokens: is 0");
  for (const std::string& stop : sampling.stop) {
    if (stop.empty()) return invalid("stop: an empty text");
  }
  for (std::size_t i = 1; i < sampling.logit_bias.size(); ++i) {
    if (sampling.logit_bias[i].first <= sampling.logit_bias[i - 1].first) {
      return invalid("logit_bias: token ids do not ascend");
    }
  }
  return {};
}

}  // namespace

Status validate_assignment(const Assignment& assignment) {
  if (assignment.tenant.empty()) return invalid("tenant: is empty");
  if (assignment.prompt_ids.empty()) return invalid("prompt_ids: no token");
  if (assignment.prompt_ids.size() > std::numeric_limits<std::uint32_t>::max()) {
    return invalid("prompt_ids: more than 2^32 tokens");
  }
  LOCKSTEP_TRY(validate_sampling(assignment.sampling), "sampling");
  return validate_ranks(assignment.ranks);
}

AssignedJob identify_assignment(const Assignment& assignment, const Digest& ledger_id,
                                std::uint64_t sequence) {
  AssignedJob job;
  job.sequence = sequence;
  job.job_id = job_id({.chain_id = 0,
                       .contract = ledger_id,
                       .client = keccak256(assignment.tenant),
                       .client_nonce = sequence});
  job.model_id = assignment.model_id;
  job.prompt_hash = prompt_hash(assignment.prompt_ids, assignment.salt);
  job.sampling_hash = sampling_hash(assignment.sampling);
  job.prompt_tokens = static_cast<std::uint32_t>(assignment.prompt_ids.size());
  job.last_prompt_id = assignment.prompt_ids.back();
  job.max_completion_tokens = assignment.sampling.max_completion_tokens;
  job.trace = assignment.sampling.trace;
  JobSpec spec;
  spec.model_id = job.model_id;
  spec.sampling_hash = job.sampling_hash;
  spec.prompt_hash = job.prompt_hash;
  spec.prompt_tokens = job.prompt_tokens;
  spec.max_completion_tokens = job.max_completion_tokens;
  job.spec_hash = spec_hash(spec);
  return job;
}

Status validate_result(const AssignedJob& job, const JobResult& result) {
  const std::size_t tokens = result.completion_ids.size();
  if (tokens > job.max_completion_tokens) {
    return invalid("completion_ids: " + std::to_string(tokens) + " tokens, at most " +
                   std::to_string(job.max_completion_tokens) + " were asked for");
  }
  const std::size_t digests = job.trace == TraceKind::kLogits ? tokens : 0;
  if (result.token_digests.size() != digests) {
    return invalid("token_digests: " + std::to_string(result.token_digests.size()) +
                   " for a trace of " + std::to_string(digests));
  }
  return {};
}

ResultHashes hash_result(const AssignedJob& job, const JobResult& result) {
  std::vector<TraceStep> steps(result.completion_ids.size());
  for (std::size_t i = 0; i < steps.size(); ++i) {
    steps[i].position = job.prompt_tokens - 1 + static_cast<std::uint32_t>(i);
    steps[i].input_token = i == 0 ? job.last_prompt_id : result.completion_ids[i - 1];
    if (!result.token_digests.empty()) steps[i].logits_digest = result.token_digests[i];
    steps[i].output_token = result.completion_ids[i];
  }
  ResultHashes hashes;
  hashes.output_hash = output_hash(result.completion_ids, result.finish_reason);
  hashes.trace_root = trace_root(steps);
  hashes.result_hash =
      result_hash(job.job_id, kAttempt, job.spec_hash, hashes.output_hash, hashes.trace_root);
  return hashes;
}

}  // namespace lockstep
