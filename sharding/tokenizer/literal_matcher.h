// Finds tokens that stand for their own text: special tokens and user-defined ones.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "sharding/tokenizer/vocabulary.h"

namespace lockstep {

class LiteralMatcher {
 public:
  struct Match {
    TokenId id = 0;
    std::size_t bytes = 0;
  };

  explicit LiteralMatcher(const Vocabulary& vocabulary);

  // The longest token whose text begins at `position`; a special token only if it ends by
  // `trusted_end`, and before a user-defined one of the same text.
  std::optional<Match> match(std::string_view text, std::size_t position,
                             std::size_t trusted_end) const;

 private:
  static constexpr TokenId kNoToken = 0xFFFFFFFF;
  struct Node {
    TokenId special = kNoToken;
    TokenId user_defined = kNoToken;
  };

  std::uint32_t child(std::uint32_t node, char byte) const;  // 0 where there is none.

  std::vector<Node> nodes_;  // A trie; 0 is its root.
  std::array<std::uint32_t, 256> first_{};
  std::unordered_map<std::uint64_t, std::uint32_t>
      children_;  // node << 8 | byte, but for the root's
};

}  // namespace lockstep
