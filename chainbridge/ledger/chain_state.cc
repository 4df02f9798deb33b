#include "chainbridge/ledger/chain_state.h"

#include "base/tagged_hash.h"
#include "chainbridge/standard_merkle_tree.h"

namespace lockstep {
namespace {

Error corrupt(const std::string& message) { return Error{ErrorCode::kCorrupt, message}; }

Status expect(const char* field, const Digest& recorded, const Digest& computed) {
  if (recorded == computed) return {};
  return corrupt(std::string(field) + ": recorded " + recorded.hex() + ", computed " +
                 computed.hex());
}

Status expect(const char* field, std::uint64_t recorded, std::uint64_t computed) {
  if (recorded == computed) return {};
  return corrupt(std::string(field) + ": recorded " + std::to_string(recorded) + ", expected " +
                 std::to_string(computed));
}

// What is refused from a caller as an invalid argument is damage when a file says it.
Status as_corrupt(Status status) {
  if (status.ok()) return status;
  return corrupt(status.error().message);
}

// That every leaf can be proven under the recorded root and data commitment.
Status expect_proofs(const RollupHeader& header, std::span<const RollupLeaf> leaves,
                     std::span<const Receipt> receipts) {
  const std::vector<Digest> hashes = rollup_leaf_hashes(leaves);
  const StandardMerkleTree tree(hashes);
  for (std::size_t i = 0; i < hashes.size(); ++i) {
    if (!verify_standard_proof(header.root, header.count, i, hashes[i], tree.proof(i))) {
      return corrupt("root: leaf " + std::to_string(i) + " has no proof under it");
    }
  }
  return expect("data_commitment", header.data_commitment, rollup_data_commitment(receipts));
}

}  // namespace

Result<LedgerRecord> ChainState::apply(const Frame& frame) {
  const std::string place = record_place(frame.sequence, frame.offset);
  LOCKSTEP_TRY_ASSIGN(LedgerRecord record, decode_record(frame.payload), place);
  if (std::holds_alternative<GenesisRecord>(record) != (frame.sequence == 0)) {
    return corrupt(place + ": type: the first record is the genesis record, and no other");
  }
  LOCKSTEP_TRY(std::visit([&](const auto& kind) { return accept(kind, frame); }, record), place);
  return record;
}

Status ChainState::accept(const GenesisRecord& /*record*/, const Frame& frame) {
  ledger_id_ = frame.hash;
  return {};
}

Status ChainState::accept(const AssignmentRecord& record, const Frame& frame) {
  LOCKSTEP_TRY(as_corrupt(validate_assignment(record.assignment)), "assignment");
  AssignedJob job = identify_assignment(record.assignment, ledger_id_, frame.sequence);
  LOCKSTEP_TRY(expect("prompt_hash", record.job.prompt_hash, job.prompt_hash), "assignment");
  LOCKSTEP_TRY(expect("sampling_hash", record.job.sampling_hash, job.sampling_hash), "assignment");
  LOCKSTEP_TRY(expect("spec_hash", record.job.spec_hash, job.spec_hash), "assignment");
  LOCKSTEP_TRY(expect("job_id", record.job.job_id, job.job_id), "assignment");
  unfinished_.emplace(frame.sequence, job);
  return {};
}

RollupLeaf ChainState::next_leaf(const ResultRecord& record) const {
  RollupLeaf leaf;
  leaf.index = pending_leaves_.size();
  leaf.job_id = record.job_id;
  leaf.spec_hash = record.spec_hash;
  leaf.result_hash = record.hashes.result_hash;
  leaf.trace_root = record.hashes.trace_root;
  leaf.completed_at = record.completed_at;
  return leaf;
}

Status ChainState::accept(const ResultRecord& record, const Frame& /*frame*/) {
  const auto found = unfinished_.find(record.result.assignment);
  if (found == unfinished_.end()) {
    return corrupt("assignment: record " + std::to_string(record.result.assignment) +
                   " is no assignment that waits for a result");
  }
  const AssignedJob& job = found->second;
  LOCKSTEP_TRY(as_corrupt(validate_result(job, record.result)), "result");
  const ResultHashes hashes = hash_result(job, record.result);
  LOCKSTEP_TRY(expect("job_id", record.job_id, job.job_id), "result");
  LOCKSTEP_TRY(expect("spec_hash", record.spec_hash, job.spec_hash), "result");
  LOCKSTEP_TRY(expect("output_hash", record.hashes.output_hash, hashes.output_hash), "result");
  LOCKSTEP_TRY(expect("trace_root", record.hashes.trace_root, hashes.trace_root), "result");
  LOCKSTEP_TRY(expect("result_hash", record.hashes.result_hash, hashes.result_hash), "result");
  if (pending_leaves_.size() >= kMaxRollupLeaves) {
    return corrupt("result: more than " + std::to_string(kMaxRollupLeaves) +
                   " results without a rollup");
  }
  pending_leaves_.push_back(next_leaf(record));
  pending_receipts_.push_back({.job_id = record.job_id,
                               .result_hash = hashes.result_hash,
                               .output_hash = hashes.output_hash,
                               .price = {}});
  unfinished_.erase(found);
  return {};
}

RollupRecord ChainState::next_rollup() const {
  CHECK(!pending_leaves_.empty(), "a rollup of no results");
  RollupRecord record;
  record.header.contract = ledger_id_;
  record.header.sequence = num_rollups_;
  record.header.previous = last_rollup_;
  record.header.root = rollup_root(pending_leaves_);
  record.header.count = pending_leaves_.size();
  record.header.data_commitment = rollup_data_commitment(pending_receipts_);
  record.header_hash = rollup_header_hash(record.header);
  return record;
}

Status ChainState::accept(const RollupRecord& record, const Frame& /*frame*/) {
  const RollupHeader& header = record.header;
  LOCKSTEP_TRY(expect("chain_id", header.chain_id, 0), "rollup");
  LOCKSTEP_TRY(expect("contract", header.contract, ledger_id_), "rollup");
  LOCKSTEP_TRY(expect("operator", header.operator_id, Digest{}), "rollup");
  LOCKSTEP_TRY(expect("sequence", header.sequence, num_rollups_), "rollup");
  LOCKSTEP_TRY(expect("previous", header.previous, last_rollup_), "rollup");
  LOCKSTEP_TRY(expect("count", header.count, pending_leaves_.size()), "rollup");
  if (header.count == 0) return corrupt("rollup: count: is 0");
  LOCKSTEP_TRY(expect("root", header.root, rollup_root(pending_leaves_)), "rollup");
  LOCKSTEP_TRY(expect_proofs(header, pending_leaves_, pending_receipts_), "rollup");
  LOCKSTEP_TRY(expect("header_hash", record.header_hash, rollup_header_hash(header)), "rollup");
  pending_leaves_.clear();
  pending_receipts_.clear();
  ++num_rollups_;
  last_rollup_ = record.header_hash;
  return {};
}

}  // namespace lockstep
