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

// Symbols are uint32 offsets apart; a longer text is a programmer error, callers bound their inputs
// far below.
inline constexpr std::size_t kMaxMergeBytes = std::size_t{1} << 31;

// Adds a symbol at the end of the list.
inline void append_symbol(std::vector<Symbol>& symbols, TokenId id, std::size_t begin,
                          std::size_t bytes) {
  CHECK(begin + bytes <= kMaxMergeBytes, "text too long for one merge");
  const auto index = static_cast<std::uint32_t>(symbols.size());
  if (index > 0) symbols.back().next = index;
  symbols.push_back({id, static_cast<std::uint32_t>(begin), static_cast<std::uint32_t>(bytes),
                     index > 0 ? index - 1 : Symbol::kNone, Symbol::kNone});
}

// Merges neighbours until `find_merge(left, right)`, an optional<Merge>, has nothing for any pair.
// Merged-away symbols stay in the vector with `bytes` 0.
template <typename FindMerge>
void merge_symbols(std::vector<Symbol>& symbols, FindMerge find_merge) {
  struct Candidate {
    std::uint64_t rank;   // order << 32 | index of the left symbol
    std::uint32_t bytes;  // Of both; a pair that changed since has other bytes.
    TokenId id;
    bool operator>(const Candidate& other) const { return rank > other.rank; }
  };
  std::vector<Candidate> heap;
  heap.reserve(symbols.size());
  const auto propose = [&](std::uint32_t left) {
    if (left == Symbol::kNone || symbols[left].next == Symbol::kNone) return;
    const Symbol& a = symbols[left];
    const Symbol& b = symbols[a.next];
    if (const std::optional<Merge> merge = find_merge(a, b)) {
      heap.push_back({std::uint64_t{merge->order} << 32 | left, a.bytes + b.bytes, merge->id});
      std::push_heap(heap.begin(), heap.end(), std::greater<>());
    }
  };
  for (std::uint32_t i = 0; i < symbols.size(); ++i) propose(i);
  while (!heap.empty()) {
    std::pop_heap(heap.begin(), heap.end(), std::greater<>());
    const Candidate best = heap.back();
    heap.pop_back();
    const auto left = static_cast<std::uint32_t>(best.rank);
    Symbol& a = symbols[left];
    if (a.bytes == 0 || a.next == Symbol::kNone) continue;
    Symbol& b = symbols[a.next];
    if (a.bytes + b.bytes != best.bytes) continue;
    a.id = best.id;
    a.bytes = best.bytes;
    a.next = b.next;
    b.bytes = 0;
    if (a.next != Symbol::kNone) symbols[a.next].previous = left;
    propose(a.previous);
    propose(left);
  }
}

}  // namespace lockstep
