// OpenZeppelin's StandardMerkleTree over leaf hashes: leaves in ascending order, a node is the
// keccak256 of its two children, the smaller first. Equal, node by node, to npm
// @openzeppelin/merkle-tree 1.0.8.
//
// A proof shows membership, not position: what is proven must carry its own index in the leaf.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "base/digest.h"

namespace lockstep {

class StandardMerkleTree {
 public:
  // Requires: at least one leaf.
  explicit StandardMerkleTree(std::span<const Digest> leaves);

  const Digest& root() const { return nodes_.front(); }

  // The siblings from leaf `i` (counted as the constructor was given them) up to below the root.
  // Requires: i < number of leaves.
  std::vector<Digest> proof(std::size_t i) const;

  // The complete binary tree as an array: the root first, the children of node i at 2i+1 and 2i+2,
  // the sorted leaves last and in reverse.
  std::span<const Digest> nodes() const { return nodes_; }

 private:
  std::vector<Digest> nodes_;
  std::vector<std::size_t> places_;  // Of leaf i in nodes_.
};

// Whether `leaf` is one of the `count` leaves below `root`. A proof longer than ceil(log2 count),
// an index not below count and a count of 0 are refused before anything is hashed. The caller makes
// sure that `index` is in the leaf.
bool verify_standard_proof(const Digest& root, std::uint64_t count, std::uint64_t index,
                           const Digest& leaf, std::span<const Digest> proof);

}  // namespace lockstep
