// A batch of finished jobs under one Merkle root, and the header that links it to the batch before,
// so that nobody can drop one unseen. Pure arithmetic. Source: chain design, "Rollup".
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "base/digest.h"
#include "chainbridge/receipt.h"

namespace lockstep {

inline constexpr std::uint8_t kRollupLeafVersion = 1;

// The most leaves of one rollup.
inline constexpr std::uint32_t kMaxRollupLeaves = 65536;

// One finished job: [uint8 version, uint256 index, bytes32 job_id, bytes32 spec_hash, bytes32
// result_hash, bytes32 trace_root, uint128 price, uint64 completed_at].
struct RollupLeaf {
  std::uint8_t version = kRollupLeafVersion;
  std::uint64_t index = 0;  // In its rollup.
  Digest job_id;
  Digest spec_hash;
  Digest result_hash;
  Digest trace_root;
  Price price;
  std::uint64_t completed_at = 0;  // Unix seconds.

  bool operator==(const RollupLeaf&) const = default;
};

// keccak256(keccak256(abi.encode(leaf))): hashed twice, so that no inner node can pass for a leaf.
Digest rollup_leaf_hash(const RollupLeaf& leaf);

struct RollupHeader {
  std::uint64_t chain_id = 0;  // 0: the local ledger.
  Digest contract;             // Of the local ledger: its id.
  Digest operator_id;          // An address, left-padded; 0 off chain.
  std::uint64_t sequence = 0;  // Of the first: 0.
  Digest previous;             // Header hash of the rollup before; of the first: 0.
  Digest root;                 // Of the standard Merkle tree over the leaves.
  std::uint64_t count = 0;     // Leaves; > 0.
  Digest data_commitment;      // Ordered tree over the receipts' digests.

  bool operator==(const RollupHeader&) const = default;
};

// H("rollup", the fields in this order).
Digest rollup_header_hash(const RollupHeader& header);

// Root of the standard Merkle tree over the leaves, and of the ordered tree over the receipts.
// Require: not empty.
Digest rollup_root(std::span<const RollupLeaf> leaves);
Digest rollup_data_commitment(std::span<const Receipt> receipts);

std::vector<Digest> rollup_leaf_hashes(std::span<const RollupLeaf> leaves);
std::vector<Digest> receipt_digests(std::span<const Receipt> receipts);

}  // namespace lockstep
