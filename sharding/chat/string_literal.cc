#include "sharding/chat/string_literal.h"

#include <charconv>

#include "sharding/chat/text.h"
#include "sharding/chat/try.h"

namespace lockstep::chat {
namespace {

// The character of an escape that is one letter, or 0.
char simple_escape(char letter) {
  static constexpr std::string_view kLetters = "\\'\"abfnrtv";
  static constexpr std::string_view kValues = "\\'\"\a\b\f\n\r\t\v";
  const std::size_t at = kLetters.find(letter);
  return at == std::string_view::npos ? '\0' : kValues[at];
}

// Reads `digits` hexadecimal digits at `body[at]`.
Result<char32_t> read_hex(std::string_view body, std::size_t at, std::size_t digits) {
  std::uint32_t value = 0;
  const std::string_view text = body.substr(std::min(at, body.size()), digits);
  const auto parsed = std::from_chars(text.data(), text.data() + text.size(), value, 16);
  if (text.size() < digits || parsed.ptr != text.data() + text.size()) {
    return wrong("an escape is cut short");
  }
  if (value > 0x10FFFF || (value >= 0xD800 && value <= 0xDFFF)) {
    return wrong("an escape names no character");
  }
  return static_cast<char32_t>(value);
}

}  // namespace

Result<std::string> unescape(std::string_view body) {
  std::string out;
  std::size_t at = 0;
  while (at < body.size()) {
    if (body[at] != '\\' || at + 1 >= body.size()) {
      out.push_back(body[at++]);
      continue;
    }
    const char letter = body[at + 1];
    if (letter == '\n') {
      at += 2;
    } else if (const char simple = simple_escape(letter); simple != '\0') {
      out.push_back(simple);
      at += 2;
    } else if (letter >= '0' && letter <= '7') {
      char32_t value = 0;
      std::size_t digits = 0;
      while (digits < 3 && at + 1 + digits < body.size() && body[at + 1 + digits] >= '0' &&
             body[at + 1 + digits] <= '7') {
        value = value * 8 + static_cast<char32_t>(body[at + 1 + digits] - '0');
        ++digits;
      }
      append_utf8(value, &out);
      at += 1 + digits;
    } else if (letter == 'x' || letter == 'u' || letter == 'U') {
      const std::size_t digits = letter == 'x' ? 2 : (letter == 'u' ? 4 : 8);
      CHAT_ASSIGN(const char32_t value, read_hex(body, at + 2, digits));
      append_utf8(value, &out);
      at += 2 + digits;
    } else if (letter == 'N') {
      return wrong("escapes of the form \\N{name} are not supported; write \\uXXXX");
    } else {
      out.push_back('\\');
      ++at;
    }
  }
  return out;
}

}  // namespace lockstep::chat
