#include "sharding/tokenizer/unicode.h"

#include <algorithm>
#include <iterator>
#include <vector>

namespace lockstep {
namespace {

constexpr std::uint32_t kClassRuns[] = {
#include "sharding/tokenizer/unicode_runs.inc"
};
constexpr std::uint32_t kNumCodePoints = 0x110000;

// One byte a code point: text touches few pages of it, and a lookup is one load.
std::vector<CharClass> expand_runs() {
  std::vector<CharClass> classes(kNumCodePoints);
  for (std::size_t i = 0; i < std::size(kClassRuns); ++i) {
    const std::uint32_t begin = kClassRuns[i] >> 3;
    const std::uint32_t end =
        i + 1 < std::size(kClassRuns) ? kClassRuns[i + 1] >> 3 : kNumCodePoints;
    std::fill(classes.begin() + begin, classes.begin() + end,
              static_cast<CharClass>(kClassRuns[i] & 7));
  }
  return classes;
}

// What a first byte promises (Unicode 16.0, table 3-7): how many bytes follow, the bits it carries,
// and the range of the second byte, which excludes overlong forms, surrogates and values too large.
struct LeadByte {
  std::uint32_t followers = 0;  // 0: no lead byte of a longer character.
  char32_t bits = 0;
  std::uint8_t second_min = 0x80;
  std::uint8_t second_max = 0xBF;
};

LeadByte classify_lead(std::uint8_t byte) {
  if (byte >= 0xC2 && byte <= 0xDF) return {1, byte & 0x1FU, 0x80, 0xBF};
  if (byte == 0xE0) return {2, 0, 0xA0, 0xBF};
  if (byte == 0xED) return {2, 0x0D, 0x80, 0x9F};
  if (byte >= 0xE1 && byte <= 0xEF) return {2, byte & 0x0FU, 0x80, 0xBF};
  if (byte == 0xF0) return {3, 0, 0x90, 0xBF};
  if (byte >= 0xF1 && byte <= 0xF3) return {3, byte & 0x07U, 0x80, 0xBF};
  if (byte == 0xF4) return {3, 4, 0x80, 0x8F};
  return {};
}

}  // namespace

CharClass class_of(char32_t code_point) {
  static const std::vector<CharClass> classes = expand_runs();
  return code_point < kNumCodePoints ? classes[code_point] : CharClass::kOther;
}

Utf8Char decode_utf8(std::string_view text, std::size_t position) {
  const auto first = static_cast<std::uint8_t>(text[position]);
  if (first < 0x80) return {first, 1, Utf8State::kValid};
  const LeadByte lead = classify_lead(first);
  if (lead.followers == 0) return {0xFFFD, 1, Utf8State::kInvalid};
  char32_t value = lead.bits;
  for (std::uint32_t i = 1; i <= lead.followers; ++i) {
    if (position + i >= text.size()) return {0xFFFD, i, Utf8State::kCut};
    const auto byte = static_cast<std::uint8_t>(text[position + i]);
    const std::uint8_t min = i == 1 ? lead.second_min : 0x80;
    const std::uint8_t max = i == 1 ? lead.second_max : 0xBF;
    if (byte < min || byte > max) return {0xFFFD, i, Utf8State::kInvalid};
    value = (value << 6) | (byte & 0x3FU);
  }
  return {value, lead.followers + 1, Utf8State::kValid};
}

std::string replace_invalid_utf8(std::string_view text) {
  std::string out;
  out.reserve(text.size());
  for (std::size_t position = 0; position < text.size();) {
    const Utf8Char next = decode_utf8(text, position);
    out +=
        next.state == Utf8State::kValid ? text.substr(position, next.bytes) : kReplacementCharacter;
    position += next.bytes;
  }
  return out;
}

bool is_valid_utf8(std::string_view text) {
  for (std::size_t position = 0; position < text.size();) {
    const Utf8Char next = decode_utf8(text, position);
    if (next.state != Utf8State::kValid) return false;
    position += next.bytes;
  }
  return true;
}

void append_two_byte_utf8(std::string& out, char32_t code_point) {
  if (code_point < 0x80) {
    out += static_cast<char>(code_point);
    return;
  }
  out += static_cast<char>(0xC0U | (code_point >> 6));
  out += static_cast<char>(0x80U | (code_point & 0x3FU));
}

}  // namespace lockstep
