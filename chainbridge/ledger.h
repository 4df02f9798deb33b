// The local ledger: an append-only, hash-chained file that holds what was assigned, what came out,
// and rollups of the results, with the identifiers of a chain and without one. What an append
// returned for is on disk.
#pragma once

#include <cstdint>
#include <memory>
#include <string>

#include "base/clock.h"
#include "base/random.h"
#include "base/result.h"
#include "chainbridge/job_record.h"
#include "chainbridge/rollup.h"

namespace lockstep {

struct LedgerOptions {
  std::uint32_t rollup_size = 64;        // Results of one rollup, in [1, kMaxRollupLeaves].
  std::uint32_t lock_timeout_ms = 5000;  // How long open() waits for another writer to end.
};

// The file of records in a ledger's directory.
std::string ledger_file(const std::string& directory);

// One writer. Not thread-safe: one thread owns it. Every call blocks on the disk.
class Ledger {
 public:
  // Opens the ledger in `directory`, creating both if they are missing. Verifies all of it, cuts
  // off a torn last record, and closes a rollup that a crash left due. `clock` must outlive the
  // ledger; `random` is used for a new ledger's nonce alone. kUnavailable names the process that
  // writes it; kCorrupt names the record, its offset and the field that does not verify.
  static Result<Ledger> open(const std::string& directory, const LedgerOptions& options,
                             Random& random, const Clock& clock);

  Ledger(Ledger&&) noexcept;
  Ledger& operator=(Ledger&&) noexcept;
  // Gives the lock back. Pending results stay without a rollup until the next close(): call close()
  // for a clean end.
  ~Ledger();

  const Digest& ledger_id() const;

  // The bytes of a torn last record that open() cut off; 0: none.
  std::uint64_t torn_bytes() const;

  // Records that a job begins, before its first step. Returns its identifiers; `sequence` names it
  // to append_result(). kInvalidArgument names the field; kExhausted: the disk is full, or the
  // record too long. After an error the ledger is as before and may be used on, unless the error is
  // kIo: then it takes nothing more and must be opened anew.
  Result<AssignedJob> append_assignment(const Assignment& assignment);

  // Records the result of an unfinished assignment, and the rollup when it is the rollup_size-th:
  // both or neither. Errors as above.
  Result<ResultHashes> append_result(const JobResult& result);

  // Writes the rollup of what is pending and gives the lock back; the ledger takes nothing more. A
  // second call does nothing.
  Status close();

 private:
  struct State;
  explicit Ledger(std::unique_ptr<State> state);

  std::unique_ptr<State> state_;
};

}  // namespace lockstep
