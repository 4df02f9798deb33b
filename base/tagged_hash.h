// H(tag, fields...) and ordered trees: the identifiers that C++, Solidity, Rust and JavaScript must
// compute alike.
//
//   H(tag, fields...) = keccak256(abi.encode(keccak256("lockstep.<tag>.v1"), fields...))
//
// with static 32-byte words only. Source: chain design, "Identifiers".
#pragma once

#include <concepts>
#include <cstdint>
#include <span>
#include <string_view>
#include <vector>

#include "base/digest.h"

namespace lockstep {

// Collects the words of one H. `TaggedHash("row").add(name).add(index).digest()`.
class TaggedHash {
 public:
  explicit TaggedHash(std::string_view tag);  // Without "lockstep." and ".v1".

  TaggedHash& add(const Digest& word);
  // An unsigned integer as a big-endian 256-bit word.
  TaggedHash& add(std::unsigned_integral auto value) {
    return add_integer(static_cast<std::uint64_t>(value));
  }
  // The IEEE bits of a binary32 as an integer word.
  TaggedHash& add_bits(float value);

  Digest digest() const { return keccak256(ByteView(words_)); }

 private:
  TaggedHash& add_integer(std::uint64_t value);

  Bytes words_;
};

// Leaves in order, padded with zero words to a power of two; node = H("node", left, right);
// root = H("tree", count, top). No leaves: top is 0.
Digest ordered_tree_root(std::span<const Digest> leaves);

// The sibling digests from leaf `index` up to the top. Requires: index < leaves.size().
std::vector<Digest> ordered_tree_proof(std::span<const Digest> leaves, std::uint64_t index);

// Whether `leaf` stands at `index` among the `count` leaves of the tree with this root.
bool verify_ordered_tree_proof(const Digest& root, std::uint64_t count, std::uint64_t index,
                               const Digest& leaf, std::span<const Digest> proof);

}  // namespace lockstep
