#include "sharding/chat/unicode.h"

#include <algorithm>

#include "sharding/chat/text.h"
#include "sharding/chat/unicode_table.h"

namespace lockstep::chat {
namespace {

bool is_in(std::span<const CharacterRange> table, char32_t c) {
  const auto after = std::upper_bound(
      table.begin(), table.end(), c,
      [](char32_t value, const CharacterRange& range) { return value < range.first; });
  return after != table.begin() && c <= (after - 1)->last;
}

void append_mapped(const CaseTable& table, char32_t c, std::string* out) {
  const auto expansion = std::lower_bound(
      table.expansions.begin(), table.expansions.end(), c,
      [](const CaseExpansion& entry, char32_t value) { return entry.from < value; });
  if (expansion != table.expansions.end() && expansion->from == c) {
    for (const std::uint32_t part : expansion->to) {
      if (part != 0) append_utf8(part, out);
    }
    return;
  }
  const auto after =
      std::upper_bound(table.runs.begin(), table.runs.end(), c,
                       [](char32_t value, const CaseRun& run) { return value < run.first; });
  if (after != table.runs.begin()) {
    const CaseRun& run = *(after - 1);
    if (c <= run.last && (c - run.first) % run.step == 0) {
      append_utf8(static_cast<char32_t>(static_cast<std::int64_t>(c) + run.offset), out);
      return;
    }
  }
  append_utf8(c, out);
}

}  // namespace

bool is_space(char32_t c) {
  if (c < 0x80) return c == U' ' || (c >= 0x09 && c <= 0x0D) || (c >= 0x1C && c <= 0x1F);
  return is_in(kSpaceTable, c);
}

bool is_line_end(char32_t c) {
  return (c >= 0x0A && c <= 0x0D) || (c >= 0x1C && c <= 0x1E) || c == 0x85 || c == 0x2028 ||
         c == 0x2029;
}

bool is_alpha(char32_t c) { return is_in(kAlphaTable, c); }
bool is_decimal(char32_t c) { return is_in(kDecimalTable, c); }
bool is_digit(char32_t c) { return is_in(kDigitTable, c); }
bool is_numeric(char32_t c) { return is_in(kNumericTable, c); }
bool is_upper(char32_t c) { return is_in(kUpperTable, c); }
bool is_lower(char32_t c) { return is_in(kLowerTable, c); }
bool is_printable(char32_t c) { return !is_in(kUnprintableTable, c); }

void append_upper(char32_t c, std::string* out) { append_mapped(kToUpperTable, c, out); }
void append_lower(char32_t c, std::string* out) { append_mapped(kToLowerTable, c, out); }
void append_title(char32_t c, std::string* out) { append_mapped(kToTitleTable, c, out); }

}  // namespace lockstep::chat
