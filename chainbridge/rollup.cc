#include "chainbridge/rollup.h"

#include "base/tagged_hash.h"
#include "chainbridge/encoding/abi_word.h"
#include "chainbridge/standard_merkle_tree.h"

namespace lockstep {

Digest rollup_leaf_hash(const RollupLeaf& leaf) {
  Bytes words;
  words.reserve(8 * 32);
  append_abi_word(words, std::uint64_t{leaf.version});
  append_abi_word(words, leaf.index);
  append_abi_word(words, leaf.job_id);
  append_abi_word(words, leaf.spec_hash);
  append_abi_word(words, leaf.result_hash);
  append_abi_word(words, leaf.trace_root);
  append_abi_word(words, leaf.price);
  append_abi_word(words, leaf.completed_at);
  return keccak256(keccak256(words).view());
}

Digest rollup_header_hash(const RollupHeader& header) {
  return TaggedHash("rollup")
      .add(header.chain_id)
      .add(header.contract)
      .add(header.operator_id)
      .add(header.sequence)
      .add(header.previous)
      .add(header.root)
      .add(header.count)
      .add(header.data_commitment)
      .digest();
}

std::vector<Digest> rollup_leaf_hashes(std::span<const RollupLeaf> leaves) {
  std::vector<Digest> hashes;
  hashes.reserve(leaves.size());
  for (const RollupLeaf& leaf : leaves) hashes.push_back(rollup_leaf_hash(leaf));
  return hashes;
}

std::vector<Digest> receipt_digests(std::span<const Receipt> receipts) {
  std::vector<Digest> digests;
  digests.reserve(receipts.size());
  for (const Receipt& receipt : receipts) digests.push_back(receipt_digest(receipt));
  return digests;
}

Digest rollup_root(std::span<const RollupLeaf> leaves) {
  return StandardMerkleTree(rollup_leaf_hashes(leaves)).root();
}

Digest rollup_data_commitment(std::span<const Receipt> receipts) {
  return ordered_tree_root(receipt_digests(receipts));
}

}  // namespace lockstep
