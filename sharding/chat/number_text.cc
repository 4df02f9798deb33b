#include "sharding/chat/number_text.h"

#include <charconv>
#include <cmath>
#include <cstdlib>
#include <limits>
#include <string>

#include "sharding/chat/text.h"
#include "sharding/chat/unicode.h"

namespace lockstep::chat {
namespace {

std::string_view stripped(std::string_view text) {
  while (!text.empty() && is_space(decode(text, 0).value)) {
    text.remove_prefix(decode(text, 0).bytes);
  }
  while (!text.empty()) {
    std::size_t at = text.size() - 1;
    while (at > 0 && (static_cast<unsigned char>(text[at]) & 0xC0) == 0x80) --at;
    if (!is_space(decode(text, at).value)) break;
    text = text.substr(0, at);
  }
  return text;
}

bool is_digit_char(char c) { return c >= '0' && c <= '9'; }

int digit_value(char c) {
  if (is_digit_char(c)) return c - '0';
  const char letter = static_cast<char>(c | 0x20);
  return letter >= 'a' && letter <= 'z' ? letter - 'a' + 10 : 99;
}

int prefix_base(std::string_view text) {
  if (text.size() < 2 || text[0] != '0') return 0;
  const char letter = static_cast<char>(text[1] | 0x20);
  return letter == 'x' ? 16 : (letter == 'o' ? 8 : (letter == 'b' ? 2 : 0));
}

// Without "_" between digits; nothing when one stands elsewhere.
std::optional<std::string> without_underscores(std::string_view text) {
  std::string out;
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (text[i] != '_') {
      out.push_back(text[i]);
    } else if (i == 0 || i + 1 == text.size() || digit_value(text[i - 1]) > 35 ||
               digit_value(text[i + 1]) > 35) {
      return std::nullopt;
    }
  }
  return out;
}

}  // namespace

std::optional<std::int64_t> read_integer(std::string_view text, int base, bool* overflows) {
  text = stripped(text);
  const bool negative = text.starts_with("-");
  if (negative || text.starts_with("+")) text.remove_prefix(1);
  const int prefixed = prefix_base(text);
  if (prefixed != 0 && (base == prefixed || base == 0)) {
    text.remove_prefix(2);
    if (text.starts_with("_")) text.remove_prefix(1);
    base = prefixed;
  }
  const auto digits = without_underscores(text);
  if (!digits || digits->empty()) return std::nullopt;
  if (base == 0) {
    base = 10;
    if ((*digits)[0] == '0' && digits->find_first_not_of('0') != std::string::npos) {
      return std::nullopt;
    }
  }
  for (const char c : *digits) {
    if (digit_value(c) >= base) return std::nullopt;
  }
  const std::string number = (negative ? "-" : "") + *digits;
  std::int64_t value = 0;
  const auto parsed = std::from_chars(number.data(), number.data() + number.size(), value, base);
  if (parsed.ec != std::errc()) *overflows = true;
  return value;
}

std::optional<double> read_float(std::string_view text) {
  const auto number = without_underscores(stripped(text));
  if (!number || number->empty()) return std::nullopt;
  std::string body = *number;
  const bool negative = body[0] == '-';
  if (negative || body[0] == '+') body.erase(0, 1);
  std::string word;
  for (const char c : body) word.push_back(static_cast<char>(c | 0x20));
  const double sign = negative ? -1.0 : 1.0;
  if (word == "inf" || word == "infinity") return sign * std::numeric_limits<double>::infinity();
  if (word == "nan") return std::numeric_limits<double>::quiet_NaN();
  if (body.find_first_not_of("0123456789.eE+-") != std::string::npos) return std::nullopt;
  if (body.empty() || body[0] == '+' || body[0] == '-') return std::nullopt;
  char* end = nullptr;
  const double value = std::strtod(body.c_str(), &end);
  if (end != body.c_str() + body.size()) return std::nullopt;
  return sign * value;
}

}  // namespace lockstep::chat
