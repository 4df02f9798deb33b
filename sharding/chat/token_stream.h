// The tokens of a template as a parser reads them, with the depth it has reached.
#pragma once

#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "sharding/chat/lexer.h"
#include "sharding/chat/try.h"

namespace lockstep::chat {

class TokenStream {
 public:
  // Requires: `tokens` ends with kEnd.
  TokenStream(std::vector<Token> tokens, int max_depth)
      : tokens_(std::move(tokens)), max_depth_(max_depth) {}

  const Token& current() const { return tokens_[at_]; }
  const Token& ahead() const { return tokens_[at_ + 1 < tokens_.size() ? at_ + 1 : at_]; }
  void next() {
    if (at_ + 1 < tokens_.size()) ++at_;
  }

  bool is(TokenKind kind) const { return current().kind == kind; }
  bool is_op(std::string_view text) const {
    return current().kind == TokenKind::kOperator && current().text == text;
  }
  bool is_name(std::string_view text) const {
    return current().kind == TokenKind::kName && current().text == text;
  }
  // Goes on when the token is this one.
  bool skip_op(std::string_view text) {
    if (!is_op(text)) return false;
    next();
    return true;
  }
  bool skip_name(std::string_view text) {
    if (!is_name(text)) return false;
    next();
    return true;
  }
  Status expect_op(std::string_view text) {
    return skip_op(text) ? Status() : unexpected("'" + std::string(text) + "'");
  }
  Status expect_name(std::string_view text) {
    return skip_name(text) ? Status() : unexpected("'" + std::string(text) + "'");
  }
  Status expect(TokenKind kind, std::string_view what) {
    if (!is(kind)) return unexpected(std::string(what));
    next();
    return Status();
  }
  Result<std::string> take_name() {
    if (!is(TokenKind::kName)) return unexpected("a name");
    std::string name = current().text;
    next();
    return name;
  }

  Error error(const std::string& what) const {
    return wrong("line " + std::to_string(current().line) + ": " + what);
  }
  Error unexpected(const std::string& expected) const {
    const Token& token = current();
    const bool is_end = token.kind == TokenKind::kEnd || token.kind == TokenKind::kOutputEnd ||
                        token.kind == TokenKind::kBlockEnd;
    return error("expected " + expected + ", found " +
                 (is_end ? std::string("the end of the tag") : "'" + token.text + "'"));
  }

  Status enter() {
    if (++depth_ <= max_depth_) return Status();
    return Error{ErrorCode::kExhausted,
                 "line " + std::to_string(current().line) +
                     ": nested deeper than max_depth = " + std::to_string(max_depth_)};
  }
  void leave() { --depth_; }

 private:
  std::vector<Token> tokens_;
  std::size_t at_ = 0;
  int depth_ = 0;
  int max_depth_;
};

}  // namespace lockstep::chat
