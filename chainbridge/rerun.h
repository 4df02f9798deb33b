// Runs recorded jobs again and compares. The engine is a function passed in, so that this folder
// knows no model.
#pragma once

#include <cstdint>
#include <functional>
#include <span>
#include <vector>

#include "base/result.h"
#include "chainbridge/ledger_verifier.h"

namespace lockstep {

// What came out of a job that was run again.
struct RerunOutcome {
  std::vector<std::uint32_t> completion_ids;
  FinishReason finish_reason = FinishReason::kLength;
  std::vector<Digest> token_digests;  // As JobResult::token_digests.
};

// Runs one job: its prompt ids, its sampling, as if alone. Any ranks, chunks and device will do.
using RerunFunction = std::function<Result<RerunOutcome>(const RecordedJob&)>;

// Ok when `outcome` is what was recorded: token by token, digest by digest, then output_hash,
// trace_root and result_hash. kCorrupt names the job, the first token that differs, what was
// recorded and what came out. Requires: job.result.
Status compare_rerun(const RecordedJob& job, const RerunOutcome& outcome);

struct RerunVerdict {
  std::uint64_t job = 0;  // Index into LedgerReport::jobs.
  Status
      status;  // Why the job is not confirmed: it differs, has another model, or could not be run.
};

// Runs the selected finished jobs (indices into report.jobs), one after the other, all of them
// whatever comes out. A job of another model than `model_id` is refused (kInvalidArgument names
// both) and not run.
std::vector<RerunVerdict> rerun_jobs(const LedgerReport& report,
                                     std::span<const std::uint64_t> selected,
                                     const Digest& model_id, const RerunFunction& run);

}  // namespace lockstep
