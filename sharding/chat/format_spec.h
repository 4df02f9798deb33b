// One conversion of a format: flags, width, precision and type, applied to a value.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "sharding/chat/budget.h"
#include "sharding/chat/value.h"

namespace lockstep::chat {

struct FormatSpec {
  std::string fill = " ";
  char align = '\0';  // '<', '>', '^', '=' or none.
  char sign = '-';
  bool alternate = false;
  bool grouped = false;
  std::optional<int> width;
  std::optional<int> precision;
  char type = '\0';
};

// Widths and precisions above this are refused.
inline constexpr int kMaxFormatWidth = 100'000;

// What follows the ":" in "{:>8.2f}".
Result<FormatSpec> parse_format_spec(std::string_view text);
// Appends a number in the way of `spec`. `value` is a number; the type is one of d, i, u, x, X, o,
// b, e, E, f, F, g, G, % or none.
Status append_number(const Value& value, const FormatSpec& spec, TextBuilder* out);
Status append_text(const Text& text, const FormatSpec& spec, TextBuilder* out);

}  // namespace lockstep::chat
