// Template source to tokens, with the whitespace control of trim_blocks and lstrip_blocks.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace lockstep::chat {

enum class TokenKind {
  kData,
  kOutputBegin,
  kOutputEnd,
  kBlockBegin,
  kBlockEnd,
  kName,
  kString,
  kInteger,
  kFloat,
  kOperator,
  kEnd,
};

struct Token {
  TokenKind kind = TokenKind::kEnd;
  std::string text;  // Of strings the value, escapes resolved.
  std::int64_t integer = 0;
  double number = 0;
  int line = 1;
};

// The last token is kEnd. kInvalidArgument names the line. Requires: valid UTF-8.
Result<std::vector<Token>> tokenize(std::string_view source);

}  // namespace lockstep::chat
