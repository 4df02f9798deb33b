// Forges a ledger: lets a function edit the facts of each record and computes everything that
// follows from them anew (identifiers, hashes, chain, roots, links), as one would who owns the
// file.
#pragma once

#include <functional>
#include <optional>
#include <string>

#include "base/file.h"
#include "chainbridge/ledger/chain_state.h"
#include "chainbridge/ledger/frame.h"
#include "chainbridge/ledger/record.h"

namespace lockstep {

class LedgerRewriter {
 public:
  using Edit = std::function<void(std::uint64_t sequence, LedgerRecord& record)>;

  // Rewrites the ledger's file `path` in place.
  static Status rewrite(const std::string& path, const Edit& edit) {
    LOCKSTEP_TRY_ASSIGN(const File file, File::open_write(path), "rewrite");
    LOCKSTEP_TRY_ASSIGN(const std::uint64_t file_bytes, file.size(), "rewrite");
    FrameReader reader(file, file_bytes);
    LedgerRewriter forged;
    while (true) {
      LOCKSTEP_TRY_ASSIGN(const std::optional<Frame> frame, reader.next(), "rewrite");
      if (!frame) break;
      LOCKSTEP_TRY_ASSIGN(LedgerRecord record, decode_record(frame->payload), "rewrite");
      edit(frame->sequence, record);
      std::visit([&](auto& kind) { forged.make_consistent(kind); }, record);
      LOCKSTEP_TRY(forged.append(record), "rewrite");
    }
    LOCKSTEP_TRY(file.truncate(0), "rewrite");
    return file.write_all(0, forged.bytes_);
  }

 private:
  void make_consistent(GenesisRecord& /*record*/) {}

  void make_consistent(AssignmentRecord& record) {
    record.job = identify_assignment(record.assignment, state_.ledger_id(), sequence_);
  }

  void make_consistent(ResultRecord& record) {
    const AssignedJob& job = state_.unfinished().at(record.result.assignment);
    record.job_id = job.job_id;
    record.spec_hash = job.spec_hash;
    record.hashes = hash_result(job, record.result);
  }

  void make_consistent(RollupRecord& record) { record = state_.next_rollup(); }

  Status append(const LedgerRecord& record) {
    LOCKSTEP_TRY_ASSIGN(const std::string payload, encode_record(record), "forge");
    const Bytes frame = encode_frame(head_, sequence_, payload);
    head_ = record_hash(head_, sequence_, payload);
    LOCKSTEP_TRY(state_.apply({sequence_, bytes_.size(), payload, head_}), "forge");
    bytes_.insert(bytes_.end(), frame.begin(), frame.end());
    ++sequence_;
    return {};
  }

  ChainState state_;
  Bytes bytes_;
  Digest head_;
  std::uint64_t sequence_ = 0;
};

}  // namespace lockstep
