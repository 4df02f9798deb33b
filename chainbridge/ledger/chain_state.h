// What a ledger has said so far, record by record. Takes a record only when everything in it
// follows from the records before: every identifier, hash, root, link and proof is computed anew.
// The writer and the verifier share it, so that what one writes the other accepts. Holds open jobs
// and results without a rollup; no file, no clock.
#pragma once

#include <cstdint>
#include <map>
#include <vector>

#include "base/result.h"
#include "chainbridge/ledger/frame.h"
#include "chainbridge/ledger/record.h"

namespace lockstep {

class ChainState {
 public:
  // Checks the record against all before it and adds it. kCorrupt names record, offset and field;
  // the state is then as before. The frame's own hash is the reader's business. Returns the decoded
  // record.
  Result<LedgerRecord> apply(const Frame& frame);

  // Hash of the first record; 0 before it.
  const Digest& ledger_id() const { return ledger_id_; }

  // Assignments without a result, by sequence.
  const std::map<std::uint64_t, AssignedJob>& unfinished() const { return unfinished_; }

  // Results without a rollup, in the order of their records.
  const std::vector<RollupLeaf>& pending_leaves() const { return pending_leaves_; }

  // The rollup of all pending results. Requires: there are some.
  RollupRecord next_rollup() const;

  std::uint64_t num_rollups() const { return num_rollups_; }
  const Digest& last_rollup() const { return last_rollup_; }  // Header hash; 0: none.

  // The leaf and the receipt of a result that is the next to be pending.
  RollupLeaf next_leaf(const ResultRecord& record) const;

 private:
  Status accept(const GenesisRecord& record, const Frame& frame);
  Status accept(const AssignmentRecord& record, const Frame& frame);
  Status accept(const ResultRecord& record, const Frame& frame);
  Status accept(const RollupRecord& record, const Frame& frame);

  Digest ledger_id_;
  std::map<std::uint64_t, AssignedJob> unfinished_;
  std::vector<RollupLeaf> pending_leaves_;
  std::vector<Receipt> pending_receipts_;
  std::uint64_t num_rollups_ = 0;
  Digest last_rollup_;
};

}  // namespace lockstep
