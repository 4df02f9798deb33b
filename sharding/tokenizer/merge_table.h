// Which pairs of tokens merge: an open-addressing table, built once and asked for every pair of
// every word.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <vector>

#include "sharding/tokenizer/merge_queue.h"

namespace lockstep {

class MergeTable {
 public:
  // Room for `count` pairs.
  explicit MergeTable(std::size_t count = 0);

  // Adds a pair; the first of equal pairs stays. Requires: at most as many calls as the constructor
  // was told.
  void insert(TokenId left, TokenId right, Merge merge);

  std::optional<Merge> find(TokenId left, TokenId right) const {
    const Slot& slot = slots_[slot_of(key_of(left, right))];
    if (slot.key == kEmpty) return std::nullopt;
    return slot.merge;
  }

 private:
  static constexpr std::uint64_t kEmpty = ~std::uint64_t{0};  // No pair: ids are below 2^32 - 1.
  struct Slot {
    std::uint64_t key = kEmpty;
    Merge merge;
  };

  static std::uint64_t key_of(TokenId left, TokenId right) {
    return std::uint64_t{left} << 32 | right;
  }
  // The slot that holds the key, or the empty one where it would go.
  std::size_t slot_of(std::uint64_t key) const {
    std::uint64_t mixed = (key ^ key >> 32) * 0x9E3779B97F4A7C15U;
    std::size_t slot = static_cast<std::size_t>(mixed >> 32) & mask_;
    while (slots_[slot].key != kEmpty && slots_[slot].key != key) slot = (slot + 1) & mask_;
    return slot;
  }

  std::vector<Slot> slots_;  // A power of two, at most half full.
  std::size_t mask_ = 0;
};

}  // namespace lockstep
