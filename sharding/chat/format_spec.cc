#include "sharding/chat/format_spec.h"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <cstdio>

#include "sharding/chat/print.h"
#include "sharding/chat/try.h"

namespace lockstep::chat {
namespace {

bool is_align(char c) { return c == '<' || c == '>' || c == '^' || c == '='; }

Result<std::optional<int>> take_digits(std::string_view* text) {
  std::size_t size = 0;
  while (size < text->size() && (*text)[size] >= '0' && (*text)[size] <= '9') ++size;
  if (size == 0) return std::optional<int>();
  int value = 0;
  const auto parsed = std::from_chars(text->data(), text->data() + size, value);
  if (parsed.ec != std::errc() || value > kMaxFormatWidth) {
    return wrong("a width in a format is too large");
  }
  text->remove_prefix(size);
  return std::optional<int>(value);
}

std::string group_thousands(const std::string& digits) {
  const std::size_t whole = digits.find_first_not_of("0123456789");
  std::string out = digits;
  for (std::size_t at = whole == std::string::npos ? digits.size() : whole; at > 3; at -= 3) {
    out.insert(at - 3, ",");
  }
  return out;
}

std::string integer_digits(std::uint64_t value, const FormatSpec& spec) {
  char buffer[72];
  const int base = spec.type == 'x' || spec.type == 'X' ? 16
                   : spec.type == 'o'                   ? 8
                   : spec.type == 'b'                   ? 2
                                                        : 10;
  std::string out(buffer, std::to_chars(buffer, buffer + sizeof buffer, value, base).ptr);
  if (spec.type == 'X') {
    std::transform(out.begin(), out.end(), out.begin(),
                   [](char c) { return c >= 'a' ? static_cast<char>(c - 32) : c; });
  }
  if (spec.precision && out.size() < static_cast<std::size_t>(*spec.precision)) {
    out.insert(0, static_cast<std::size_t>(*spec.precision) - out.size(), '0');
  }
  if (spec.alternate && base != 10) out = std::string("0") + spec.type + out;
  return out;
}

// Digits of |value|.
Result<std::string> float_digits(double value, const FormatSpec& spec) {
  const bool percent = spec.type == '%';
  if (percent) value *= 100;
  if (std::isnan(value)) return std::string("nan");
  if (std::isinf(value)) return std::string("inf");
  if (spec.type == '\0' && !spec.precision) return float_repr(value);
  const char type = percent ? 'f' : (spec.type == '\0' ? 'g' : spec.type);
  const int precision = spec.precision.value_or(6);
  if (precision > 500) return wrong("a precision in a format is too large");
  const std::string format = std::string(spec.alternate ? "%#.*" : "%.*") + type;
  char buffer[1024];
  std::snprintf(buffer, sizeof buffer, format.c_str(), precision, value);
  std::string out(buffer);
  // Without a type, at least one digit stands behind the point.
  if (spec.type == '\0' && out.find_first_of(".e") == std::string::npos) out += ".0";
  return percent ? out + "%" : out;
}

}  // namespace

Result<FormatSpec> parse_format_spec(std::string_view text) {
  FormatSpec spec;
  const std::size_t first = text.empty() ? 0 : decode(text, 0).bytes;
  if (text.size() > first && is_align(text[first])) {
    spec.fill = std::string(text.substr(0, first));
    spec.align = text[first];
    text.remove_prefix(first + 1);
  } else if (!text.empty() && is_align(text[0])) {
    spec.align = text[0];
    text.remove_prefix(1);
  }
  if (!text.empty() && (text[0] == '+' || text[0] == '-' || text[0] == ' ')) {
    spec.sign = text[0];
    text.remove_prefix(1);
  }
  if (text.starts_with("#")) {
    spec.alternate = true;
    text.remove_prefix(1);
  }
  if (text.starts_with("0")) {
    if (spec.align == '\0') {
      spec.fill = "0";
      spec.align = '=';
    }
    text.remove_prefix(1);
  }
  CHAT_ASSIGN(spec.width, take_digits(&text));
  if (text.starts_with(",")) {
    spec.grouped = true;
    text.remove_prefix(1);
  }
  if (text.starts_with(".")) {
    text.remove_prefix(1);
    CHAT_ASSIGN(spec.precision, take_digits(&text));
    if (!spec.precision) return wrong("a format has no precision after '.'");
  }
  if (!text.empty()) {
    spec.type = text[0];
    text.remove_prefix(1);
  }
  if (!text.empty() ||
      std::string_view("\0sdxXobeEfFgG%", 14).find(spec.type) == std::string_view::npos) {
    return wrong("a format specification is not supported");
  }
  return spec;
}

Status append_number(const Value& value, const FormatSpec& spec, TextBuilder* out) {
  std::string digits;
  bool negative = false;
  const bool float_type = std::string_view("eEfFgG%").find(spec.type) != std::string_view::npos;
  if (value.is_integral() && !float_type) {
    const std::int64_t number = value.integer();
    negative = number < 0;
    const auto bits = static_cast<std::uint64_t>(number);
    digits = integer_digits(negative ? 0 - bits : bits, spec);
  } else {
    const double number = value.number();
    negative = std::signbit(number) && !std::isnan(number);
    CHAT_ASSIGN(digits, float_digits(std::fabs(number), spec));
  }
  if (spec.grouped) digits = group_thousands(digits);
  std::string sign = negative ? "-" : "";
  if (!negative && spec.sign != '-') sign = std::string(1, spec.sign);
  const auto width = static_cast<std::size_t>(spec.width.value_or(0));
  const std::size_t size = sign.size() + digits.size();
  const std::size_t missing = width > size ? width - size : 0;
  const bool trusted = value.is_trusted_number();
  const Text fill(spec.fill, true);
  const char align = spec.align == '\0' ? '>' : spec.align;
  const std::size_t left = align == '>' ? missing : (align == '^' ? missing / 2 : 0);
  out->append_repeated(fill, left);
  out->append(sign, trusted);
  if (align == '=') out->append_repeated(fill, missing);
  out->append(digits, trusted);
  if (align != '=') out->append_repeated(fill, missing - left);
  return Status();
}

Status append_text(const Text& text, const FormatSpec& spec, TextBuilder* out) {
  std::size_t length = text.length();
  if (spec.precision) length = std::min(length, static_cast<std::size_t>(*spec.precision));
  const auto width = static_cast<std::size_t>(spec.width.value_or(0));
  const std::size_t missing = width > length ? width - length : 0;
  const Text fill(spec.fill, true);
  const std::size_t left = spec.align == '>' ? missing : (spec.align == '^' ? missing / 2 : 0);
  out->append_repeated(fill, left);
  out->append_range(text, 0, text.byte_of(length));
  out->append_repeated(fill, missing - left);
  return Status();
}

}  // namespace lockstep::chat
