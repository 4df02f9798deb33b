// UTF-8 as it comes from outside, and the classes of characters that pre-tokenizers ask for.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

namespace lockstep {

// The classes are disjoint: White_Space, then the general categories L, N and P of Unicode 16.0.
enum class CharClass : std::uint8_t {
  kOther = 0,
  kLetter = 1,
  kNumber = 2,
  kPunctuation = 3,
  kSpace = 4,
};

// kOther for a value above U+10FFFF.
CharClass class_of(char32_t code_point);

enum class Utf8State : std::uint8_t {
  kValid,
  kInvalid,  // These bytes can never become a character.
  kCut,      // The text ends inside a character that more bytes could complete.
};

// One character, or the longest run of bytes that counts as one error (Unicode 16.0, section 3.9.6,
// "U+FFFD Substitution of Maximal Subparts"; Python's errors="replace" does the same).
struct Utf8Char {
  char32_t code_point = 0xFFFD;  // U+FFFD unless valid.
  std::uint32_t bytes = 0;       // 1 to 4.
  Utf8State state = Utf8State::kInvalid;
};

// Requires: position < text.size().
Utf8Char decode_utf8(std::string_view text, std::size_t position);

inline constexpr std::string_view kReplacementCharacter = "\xEF\xBF\xBD";

// `text` with every error replaced by U+FFFD.
std::string replace_invalid_utf8(std::string_view text);

bool is_valid_utf8(std::string_view text);

// Requires: `code_point` is below 0x800.
void append_two_byte_utf8(std::string& out, char32_t code_point);

}  // namespace lockstep
