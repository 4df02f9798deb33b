// What the ledger holds of a job: the assignment, written before the first step, and the result.
// And the hashes that follow from them, each a pure function.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "base/digest.h"
#include "base/identifiers.h"
#include "base/result.h"
#include "base/sampling.h"

namespace lockstep {

// One rank of the replica and its run of parts.
struct AssignedRank {
  std::uint32_t first_part = 0;
  std::uint32_t num_parts = 0;  // > 0; the runs of the ranks follow each other from part 0 on.
  std::string device;           // "cpu:avx2"; UTF-8, for the reader alone.

  bool operator==(const AssignedRank&) const = default;
};

// What is to be computed, and by whom.
struct Assignment {
  std::string tenant = "local";  // Whose keccak256 is the client of the job id; UTF-8, not empty.
  Digest model_id;
  std::vector<std::uint32_t> prompt_ids;  // Not empty. The prompt's text is not stored.
  Digest salt;                            // Of the prompt hash; 0: none.
  SamplingParams sampling;
  std::vector<AssignedRank> ranks;  // Not empty.
};

// kInvalidArgument names the field that no ledger takes.
Status validate_assignment(const Assignment& assignment);

// What an assignment fixes, and what its result is checked against.
struct AssignedJob {
  std::uint64_t sequence =
      0;  // Of the assignment's record: the client_nonce of the job id, and the job's short name.
  Digest job_id;
  Digest model_id;
  Digest prompt_hash;
  Digest sampling_hash;
  Digest spec_hash;
  std::uint32_t prompt_tokens = 0;
  std::uint32_t last_prompt_id = 0;
  std::uint32_t max_completion_tokens = 0;
  TraceKind trace = TraceKind::kLogits;
};

// The identifiers of `assignment` as record `sequence` of the ledger (chain_id 0, no prices, no
// deadline, any provider). Requires: validate_assignment is ok.
AssignedJob identify_assignment(const Assignment& assignment, const Digest& ledger_id,
                                std::uint64_t sequence);

// What came out.
struct JobResult {
  std::uint64_t assignment = 0;  // AssignedJob::sequence.
  std::vector<std::uint32_t> completion_ids;
  FinishReason finish_reason = FinishReason::kLength;
  std::vector<Digest>
      token_digests;  // Of the logits, one a completion token; none with TraceKind::kTokens.

  bool operator==(const JobResult&) const = default;
};

// kInvalidArgument names the field that cannot be a result of `job`.
Status validate_result(const AssignedJob& job, const JobResult& result);

struct ResultHashes {
  Digest output_hash;
  Digest trace_root;
  Digest result_hash;

  bool operator==(const ResultHashes&) const = default;
};

// The hashes of a result (attempt 1). The trace follows from prompt and completion: the first step
// reads the last prompt token at position prompt_tokens - 1, each other the completion token
// before. Requires: validate_result is ok.
ResultHashes hash_result(const AssignedJob& job, const JobResult& result);

}  // namespace lockstep
