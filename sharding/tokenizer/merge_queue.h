// The merge loop that both kinds of BPE share: O(n log n) in the number of symbols, whatever the
// text.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <optional>
#include <vector>

#include "base/check.h"
#include "sharding/tokenizer.h"

namespace lockstep {

// A stretch of text that is one token by now, in a list linked through indices.
struct Symbol {
  static constexpr std::uint32_t kNone = 0xFFFFFFFF;

  TokenId id = 0;
  std::uint32_t begin = 0;
  std::uint32_t bytes = 0;  // 0 once it was merged into its left neighbour.
  std::uint32_t previous = kNone;
  std::uint32_t next = kNone;
};

// What two neighbours become. Lower orders merge first, the leftmost pair among equals.
struct Merge {
  std::uint32_t order = 0;
  TokenId id = 0;
};

// The symbols of one text and the merges that wait for their turn. Reused from text to text, so
// that a word costs no allocation.
class MergeQueue {
 public:
  // Offsets are 32 bits wide; callers bound their texts far below.
  static constexpr std::size_t kMaxTextBytes = std::size_t{1} << 31;

  void clear() { symbols_.clear(); }

  // Adds a symbol at the end. Requires: the text ends by kMaxTextBytes.
  void append(TokenId id, std::size_t begin, std::size_t bytes) {
    CHECK(begin + bytes <= kMaxTextBytes, "text too long for one merge");
    const auto index = static_cast<std::uint32_t>(symbols_.size());
    if (index > 0) symbols_.back().next = index;
    symbols_.push_back({id, static_cast<std::uint32_t>(begin), static_cast<std::uint32_t>(bytes),
                        index > 0 ? index - 1 : Symbol::kNone, Symbol::kNone});
  }

  // Merges neighbours until `find_merge(left, right)`, an optional<Merge>, has nothing for any
  // pair.
  template <typename FindMerge>
  void merge(FindMerge find_merge) {
    heap_.clear();
    for (std::uint32_t i = 0; i + 1 < symbols_.size(); ++i) propose(i, find_merge);
    while (!heap_.empty()) {
      std::pop_heap(heap_.begin(), heap_.end(), std::greater<>());
      const Candidate best = heap_.back();
      heap_.pop_back();
      const auto left = static_cast<std::uint32_t>(best.rank);
      Symbol& a = symbols_[left];
      if (a.bytes == 0 || a.next == Symbol::kNone) continue;
      Symbol& b = symbols_[a.next];
      if (a.bytes + b.bytes != best.bytes) continue;
      a.id = best.id;
      a.bytes = best.bytes;
      a.next = b.next;
      b.bytes = 0;
      if (a.next != Symbol::kNone) symbols_[a.next].previous = left;
      propose(a.previous, find_merge);
      propose(left, find_merge);
    }
  }

  // In order; those with `bytes` 0 were merged away.
  const std::vector<Symbol>& symbols() const { return symbols_; }

 private:
  struct Candidate {
    std::uint64_t rank;   // order << 32 | index of the left symbol
    std::uint32_t bytes;  // Of both; a pair that changed since has other bytes.
    TokenId id;
    bool operator>(const Candidate& other) const { return rank > other.rank; }
  };

  template <typename FindMerge>
  void propose(std::uint32_t left, FindMerge& find_merge) {
    if (left == Symbol::kNone || symbols_[left].next == Symbol::kNone) return;
    const Symbol& a = symbols_[left];
    const Symbol& b = symbols_[a.next];
    const std::optional<Merge> merge = find_merge(a, b);
    if (!merge) return;
    heap_.push_back({std::uint64_t{merge->order} << 32 | left, a.bytes + b.bytes, merge->id});
    std::push_heap(heap_.begin(), heap_.end(), std::greater<>());
  }

  std::vector<Symbol> symbols_;
  std::vector<Candidate> heap_;
};

}  // namespace lockstep
