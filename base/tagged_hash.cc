#include "base/tagged_hash.h"

#include <bit>
#include <string>

namespace lockstep {
namespace {

Digest node(const Digest& left, const Digest& right) {
  static const Digest kTag = keccak256(std::string_view("lockstep.node.v1"));
  std::array<std::uint8_t, 96> words;
  std::copy(kTag.bytes.begin(), kTag.bytes.end(), words.begin());
  std::copy(left.bytes.begin(), left.bytes.end(), words.begin() + 32);
  std::copy(right.bytes.begin(), right.bytes.end(), words.begin() + 64);
  return keccak256(ByteView(words));
}

Digest root_of_top(std::uint64_t count, const Digest& top) {
  return TaggedHash("tree").add(count).add(top).digest();
}

// One level up. The level has an even number of digests.
std::vector<Digest> parents(const std::vector<Digest>& level) {
  std::vector<Digest> up(level.size() / 2);
  for (std::size_t i = 0; i < up.size(); ++i) up[i] = node(level[2 * i], level[2 * i + 1]);
  return up;
}

std::vector<Digest> padded(std::span<const Digest> leaves) {
  std::vector<Digest> level(leaves.begin(), leaves.end());
  level.resize(std::bit_ceil(level.size()));
  return level;
}

}  // namespace

TaggedHash::TaggedHash(std::string_view tag) {
  const Digest word = keccak256("lockstep." + std::string(tag) + ".v1");
  words_.assign(word.bytes.begin(), word.bytes.end());
}

TaggedHash& TaggedHash::add(const Digest& word) {
  words_.insert(words_.end(), word.bytes.begin(), word.bytes.end());
  return *this;
}

TaggedHash& TaggedHash::add_integer(std::uint64_t value) {
  words_.resize(words_.size() + 24);
  for (int shift = 56; shift >= 0; shift -= 8) {
    words_.push_back(static_cast<std::uint8_t>(value >> shift));
  }
  return *this;
}

TaggedHash& TaggedHash::add_bits(float value) {
  return add_integer(std::bit_cast<std::uint32_t>(value));
}

Digest ordered_tree_root(std::span<const Digest> leaves) {
  if (leaves.empty()) return root_of_top(0, Digest{});
  std::vector<Digest> level = padded(leaves);
  while (level.size() > 1) level = parents(level);
  return root_of_top(leaves.size(), level.front());
}

std::vector<Digest> ordered_tree_proof(std::span<const Digest> leaves, std::uint64_t index) {
  CHECK(index < leaves.size(), "proof of a leaf that is not in the tree");
  std::vector<Digest> proof;
  std::vector<Digest> level = padded(leaves);
  while (level.size() > 1) {
    proof.push_back(level[index ^ 1]);
    level = parents(level);
    index /= 2;
  }
  return proof;
}

bool verify_ordered_tree_proof(const Digest& root, std::uint64_t count, std::uint64_t index,
                               const Digest& leaf, std::span<const Digest> proof) {
  if (index >= count) return false;
  // ceil(log2 count); bit_ceil has no value for the largest counts that a stranger can write.
  if (proof.size() != static_cast<std::size_t>(std::bit_width(count - 1))) return false;
  Digest top = leaf;
  for (const Digest& sibling : proof) {
    top = index % 2 == 0 ? node(top, sibling) : node(sibling, top);
    index /= 2;
  }
  return root == root_of_top(count, top);
}

}  // namespace lockstep
