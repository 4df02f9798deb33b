#include "chainbridge/rerun.h"

#include <algorithm>
#include <string>

namespace lockstep {
namespace {

Error differs(const std::string& what, const std::string& recorded, const std::string& computed) {
  return Error{ErrorCode::kCorrupt,
               what + " differs: recorded " + recorded + ", came out " + computed};
}

Status compare(const char* name, const Digest& recorded, const Digest& computed) {
  if (recorded == computed) return {};
  return differs(name, recorded.hex(), computed.hex());
}

const char* reason_name(FinishReason reason) {
  return reason == FinishReason::kStop ? "stop" : "length";
}

// The first position at which the tokens or their digests part. A digest parts before its token
// does, so both of one position are looked at before the next.
Status compare_tokens(const JobResult& recorded, const RerunOutcome& outcome) {
  const std::size_t common =
      std::min(recorded.completion_ids.size(), outcome.completion_ids.size());
  for (std::size_t i = 0; i < common; ++i) {
    const std::string token = "completion token " + std::to_string(i);
    if (recorded.completion_ids[i] != outcome.completion_ids[i]) {
      return differs(token, std::to_string(recorded.completion_ids[i]),
                     std::to_string(outcome.completion_ids[i]));
    }
    const bool traced = i < recorded.token_digests.size() && i < outcome.token_digests.size();
    if (traced && recorded.token_digests[i] != outcome.token_digests[i]) {
      return differs("logits digest of " + token, recorded.token_digests[i].hex(),
                     outcome.token_digests[i].hex());
    }
  }
  if (recorded.completion_ids.size() != outcome.completion_ids.size()) {
    return differs("completion token " + std::to_string(common) + ": the number of tokens",
                   std::to_string(recorded.completion_ids.size()),
                   std::to_string(outcome.completion_ids.size()));
  }
  return {};
}

Status compare_all(const RecordedJob& job, const RerunOutcome& outcome) {
  LOCKSTEP_TRY(compare_tokens(*job.result, outcome), "rerun");
  const JobResult computed{.assignment = job.assigned.sequence,
                           .completion_ids = outcome.completion_ids,
                           .finish_reason = outcome.finish_reason,
                           .token_digests = outcome.token_digests};
  LOCKSTEP_TRY(validate_result(job.assigned, computed), "rerun");
  if (job.result->finish_reason != outcome.finish_reason) {
    return differs("finish reason", reason_name(job.result->finish_reason),
                   reason_name(outcome.finish_reason));
  }
  const ResultHashes hashes = hash_result(job.assigned, computed);
  LOCKSTEP_TRY(compare("output_hash", job.hashes->output_hash, hashes.output_hash), "rerun");
  LOCKSTEP_TRY(compare("trace_root", job.hashes->trace_root, hashes.trace_root), "rerun");
  LOCKSTEP_TRY(compare("result_hash", job.hashes->result_hash, hashes.result_hash), "rerun");
  return {};
}

std::string job_name(const AssignedJob& job) {
  return "job " + std::to_string(job.sequence) + " (" + job.job_id.hex() + ")";
}

Status rerun_job(const LedgerReport& report, const LedgerJob& job, const Digest& model_id,
                 const RerunFunction& run) {
  if (job.assigned.model_id != model_id) {
    return Error{ErrorCode::kInvalidArgument, job_name(job.assigned) + ": was run with model " +
                                                  job.assigned.model_id.hex() +
                                                  ", the given one is " + model_id.hex()};
  }
  LOCKSTEP_TRY_ASSIGN(const RecordedJob recorded, load_job(report, job), job_name(job.assigned));
  LOCKSTEP_TRY_ASSIGN(const RerunOutcome outcome, run(recorded), job_name(job.assigned));
  return compare_rerun(recorded, outcome);
}

}  // namespace

Status compare_rerun(const RecordedJob& job, const RerunOutcome& outcome) {
  CHECK(job.result.has_value() && job.hashes.has_value(), "comparing a job without a result");
  LOCKSTEP_TRY(compare_all(job, outcome), job_name(job.assigned));
  return {};
}

std::vector<RerunVerdict> rerun_jobs(const LedgerReport& report,
                                     std::span<const std::uint64_t> selected,
                                     const Digest& model_id, const RerunFunction& run) {
  std::vector<RerunVerdict> verdicts;
  for (const std::uint64_t index : selected) {
    CHECK(index < report.jobs.size() && report.jobs[index].finished, "rerun of no finished job");
    verdicts.push_back(
        {.job = index, .status = rerun_job(report, report.jobs[index], model_id, run)});
  }
  return verdicts;
}

}  // namespace lockstep
