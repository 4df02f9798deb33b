// Reads a ledger without writing to it or locking it, and accepts it only when every record follows
// from those before: the hash chain, every identifier and hash, every rollup's root, link and
// proofs. A second opinion on what the jobs computed needs an engine: rerun.h.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "chainbridge/job_record.h"
#include "chainbridge/rollup.h"

namespace lockstep {

// Where a verified record lies, and what it must still say when it is read again.
struct RecordPlace {
  std::uint64_t sequence = 0;
  std::uint64_t offset = 0;  // Of its frame in the file.
  std::uint32_t payload_bytes = 0;
  Digest payload_hash;  // keccak256.
};

struct FinishedJob {
  RecordPlace place;
  RollupLeaf leaf;  // Its index is the place in its rollup, or among the pending results.
  ResultHashes hashes;
  std::optional<std::uint64_t> rollup;  // Index into LedgerReport::rollups; empty: pending.
};

// One assignment and what became of it, without its tokens.
struct LedgerJob {
  AssignedJob assigned;
  RecordPlace place;
  std::uint64_t assigned_at = 0;        // Unix seconds.
  std::optional<FinishedJob> finished;  // Empty: unfinished (a crash, Ctrl-C, or still running).
};

struct LedgerRollup {
  RollupHeader header;
  Digest header_hash;
  std::vector<std::uint64_t> jobs;  // Indices into LedgerReport::jobs, in the order of the leaves.
};

struct LedgerReport {
  std::string directory;
  Digest ledger_id;
  Digest head;  // Hash of the last whole record.
  std::uint64_t num_records = 0;
  std::uint64_t num_bytes = 0;
  std::uint64_t torn_bytes =
      0;  // Of a last record not wholly written: a crash, or a writer at work.
  std::vector<LedgerJob> jobs;  // In the order of their assignments.
  std::vector<LedgerRollup> rollups;
  std::vector<std::uint64_t> pending;  // Finished jobs without a rollup: indices into `jobs`.

  std::uint64_t num_finished() const;
};

// Memory: one record at a time, and some hundred bytes a job. kNotFound when there is no ledger;
// kCorrupt names the record, its offset and the field.
Result<LedgerReport> verify_ledger(const std::string& directory);

// A job with all that is needed to run it again.
struct RecordedJob {
  AssignedJob assigned;
  Assignment assignment;
  std::optional<JobResult> result;
  std::optional<ResultHashes> hashes;  // With the result.
};

// Reads a job of a verified ledger again, with its tokens. kCorrupt when the file is not what was
// verified any more.
Result<RecordedJob> load_job(const LedgerReport& report, const LedgerJob& job);

// The job named by its id (64 hexadecimal digits, "0x" allowed) or by its sequence (decimal).
// kNotFound; kInvalidArgument for another text. The pointer is good as long as the report.
Result<const LedgerJob*> find_job(const LedgerReport& report, std::string_view name);

// `count` finished jobs, or all when there are fewer: drawn without repetition by a seed taken from
// the ledger's head, so that nobody chooses them and two verifiers take the same. Indices into
// `jobs`, ascending.
std::vector<std::uint64_t> select_jobs(const LedgerReport& report, std::uint64_t count);

}  // namespace lockstep
