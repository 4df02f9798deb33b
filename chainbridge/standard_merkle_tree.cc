#include "chainbridge/standard_merkle_tree.h"

#include <algorithm>
#include <bit>
#include <numeric>

namespace lockstep {
namespace {

Digest sorted_pair_hash(const Digest& a, const Digest& b) {
  const auto& [first, second] = std::minmax(a, b);
  std::array<std::uint8_t, 64> pair;
  std::copy(first.bytes.begin(), first.bytes.end(), pair.begin());
  std::copy(second.bytes.begin(), second.bytes.end(), pair.begin() + 32);
  return keccak256(ByteView(pair));
}

}  // namespace

StandardMerkleTree::StandardMerkleTree(std::span<const Digest> leaves)
    : nodes_(leaves.empty() ? 0 : 2 * leaves.size() - 1), places_(leaves.size()) {
  CHECK(!leaves.empty(), "a Merkle tree of no leaves");
  std::vector<std::size_t> order(leaves.size());
  std::iota(order.begin(), order.end(), std::size_t{0});
  std::stable_sort(order.begin(), order.end(),
                   [&](std::size_t a, std::size_t b) { return leaves[a] < leaves[b]; });
  for (std::size_t rank = 0; rank < order.size(); ++rank) {
    const std::size_t place = nodes_.size() - 1 - rank;
    nodes_[place] = leaves[order[rank]];
    places_[order[rank]] = place;
  }
  for (std::size_t i = leaves.size() - 1; i-- > 0;) {
    nodes_[i] = sorted_pair_hash(nodes_[2 * i + 1], nodes_[2 * i + 2]);
  }
}

std::vector<Digest> StandardMerkleTree::proof(std::size_t i) const {
  CHECK(i < places_.size(), "proof of a leaf that is not in the tree");
  std::vector<Digest> siblings;
  for (std::size_t place = places_[i]; place > 0; place = (place - 1) / 2) {
    siblings.push_back(nodes_[place % 2 == 0 ? place - 1 : place + 1]);
  }
  return siblings;
}

bool verify_standard_proof(const Digest& root, std::uint64_t count, std::uint64_t index,
                           const Digest& leaf, std::span<const Digest> proof) {
  if (count == 0 || index >= count) return false;
  if (proof.size() > static_cast<std::size_t>(std::bit_width(count - 1))) return false;
  Digest node = leaf;
  for (const Digest& sibling : proof) node = sorted_pair_hash(node, sibling);
  return node == root;
}

}  // namespace lockstep
