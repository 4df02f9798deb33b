#include "sharding/tokenizer/literal_matcher.h"

namespace lockstep {
namespace {

std::uint64_t edge(std::uint32_t node, char byte) {
  return std::uint64_t{node} << 8 | static_cast<std::uint8_t>(byte);
}

}  // namespace

LiteralMatcher::LiteralMatcher(const Vocabulary& vocabulary) : nodes_(1) {
  for (TokenId id = 0; id < vocabulary.size(); ++id) {
    const TokenKind kind = vocabulary.kind(id);
    if (kind != TokenKind::kSpecial && kind != TokenKind::kLiteral) continue;
    const std::string& text = vocabulary.text(id);
    if (text.empty()) continue;
    std::uint32_t node = 0;
    for (const char byte : text) {
      const auto fresh = static_cast<std::uint32_t>(nodes_.size());
      std::uint32_t& next =
          node == 0 ? first_[static_cast<std::uint8_t>(byte)] : children_[edge(node, byte)];
      if (next == 0) {
        next = fresh;
        nodes_.emplace_back();
      }
      node = next;
    }
    (kind == TokenKind::kSpecial ? nodes_[node].special : nodes_[node].user_defined) = id;
  }
}

std::uint32_t LiteralMatcher::child(std::uint32_t node, char byte) const {
  if (node == 0) return first_[static_cast<std::uint8_t>(byte)];
  const auto found = children_.find(edge(node, byte));
  return found == children_.end() ? 0 : found->second;
}

std::optional<LiteralMatcher::Match> LiteralMatcher::match(std::string_view text,
                                                           std::size_t position,
                                                           std::size_t trusted_end) const {
  std::optional<Match> best;
  std::uint32_t node = 0;
  for (std::size_t end = position; end < text.size();) {
    node = child(node, text[end]);
    if (node == 0) break;
    ++end;
    if (nodes_[node].special != kNoToken && end <= trusted_end) {
      best = Match{nodes_[node].special, end - position};
    } else if (nodes_[node].user_defined != kNoToken) {
      best = Match{nodes_[node].user_defined, end - position};
    }
  }
  return best;
}

}  // namespace lockstep
