#include "scheduler/gateway/api/receipt_body.h"

#include "base/identifiers.h"

namespace lockstep {
namespace {

// A failover changes nothing of the answer, so off chain a job counts as attempted once.
constexpr std::uint64_t kAttempt = 1;

}  // namespace

OrderedJson receipt_body(const JobRecord& record, std::uint32_t choice_index,
                         std::span<const CompletionToken> tokens, FinishReason reason) {
  SamplingParams sampling = record.sampling;
  sampling.choice_index = choice_index;
  JobSpec spec;
  spec.model_id = record.model_id;
  spec.sampling_hash = sampling_hash(sampling);
  spec.prompt_hash = prompt_hash(record.prompt, Digest{});
  spec.prompt_tokens = static_cast<std::uint32_t>(record.prompt.size());
  spec.max_completion_tokens = sampling.max_completion_tokens;
  JobOrigin origin;
  origin.client = keccak256(record.tenant);
  const Digest job = job_id(origin);
  std::vector<std::uint32_t> ids;
  std::vector<TraceStep> steps;
  std::uint32_t input = record.prompt.back();
  for (const CompletionToken& token : tokens) {
    const auto position = spec.prompt_tokens - 1 + static_cast<std::uint32_t>(ids.size());
    steps.push_back({position, input, token.logits_digest, token.token});
    ids.push_back(token.token);
    input = token.token;
  }
  const Digest output = output_hash(ids, reason);
  const Digest trace = trace_root(steps);
  const Digest specified = spec_hash(spec);
  OrderedJson body;
  body["index"] = choice_index;
  body["model_id"] = record.model_id.hex();
  body["numerics_version"] = record.numerics_version;
  body["job_id"] = job.hex();
  body["seed"] = sampling.seed;
  body["sampling_hash"] = spec.sampling_hash.hex();
  body["prompt_hash"] = spec.prompt_hash.hex();
  body["spec_hash"] = specified.hex();
  body["output_hash"] = output.hex();
  body["trace_root"] = trace.hex();
  body["result_hash"] = result_hash(job, kAttempt, specified, output, trace).hex();
  return body;
}

}  // namespace lockstep
