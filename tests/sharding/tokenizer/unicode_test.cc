#include "sharding/tokenizer/unicode.h"

#include <gtest/gtest.h>

namespace lockstep {
namespace {

TEST(ReplaceInvalidUtf8, KeepsValidTextOfEveryLength) {
  const std::string text = "a\xC3\xA9\xE2\x82\xAC\xF0\x9F\xA6\x99\xF4\x8F\xBF\xBF";
  EXPECT_EQ(replace_invalid_utf8(text), text);
  EXPECT_TRUE(is_valid_utf8(text));
}

// Each expectation is what Python's bytes.decode("utf-8", errors="replace") gives; R stands for
// U+FFFD.
TEST(ReplaceInvalidUtf8, ReplacesMaximalSubpartsLikePython) {
  const std::pair<std::string_view, std::string_view> cases[] = {
      {"\x80", "R"},
      {"a\xFFz", "aRz"},
      {"\xC0\xAF", "RR"},              // Overlong
      {"\xE0\x80\x80", "RRR"},         // Overlong
      {"\xED\xA0\x80", "RRR"},         // Surrogate
      {"\xE2\x82", "R"},               // Cut at the end
      {"\xE2\x82z", "Rz"},             // Cut by another character
      {"\xF0\x9F\xA6", "R"},           // Cut at the end
      {"\xF0\x9F\xA6\xE2\x82", "RR"},  // Cut twice
      {"\xF4\x90\x80\x80", "RRRR"},    // Above U+10FFFF
      {"\xF5\x80", "RR"},
      {"\xC3\xC3\xA9", "R\xC3\xA9"}};
  for (const auto& [text, expected] : cases) {
    std::string with_replacements;
    for (const char c : expected) {
      with_replacements += c == 'R' ? std::string(kReplacementCharacter) : std::string(1, c);
    }
    EXPECT_EQ(replace_invalid_utf8(text), with_replacements) << testing::PrintToString(text);
    EXPECT_FALSE(is_valid_utf8(text));
  }
}

TEST(DecodeUtf8, SaysCutOnlyWhereMoreBytesCouldHelp) {
  EXPECT_EQ(decode_utf8("\xE2\x82", 0).state, Utf8State::kCut);
  EXPECT_EQ(decode_utf8("\xF0", 0).state, Utf8State::kCut);
  EXPECT_EQ(decode_utf8("\xE0\x80", 0).state, Utf8State::kInvalid);
  EXPECT_EQ(decode_utf8("\xFF", 0).state, Utf8State::kInvalid);
  EXPECT_EQ(decode_utf8("x\xE2\x82\xAC", 1).code_point, U'\u20AC');
}

TEST(ClassOf, KnowsTheEdgesOfClasses) {
  EXPECT_EQ(class_of(U'a'), CharClass::kLetter);
  EXPECT_EQ(class_of(U'`'), CharClass::kOther);
  EXPECT_EQ(class_of(U'0'), CharClass::kNumber);
  EXPECT_EQ(class_of(U'/'), CharClass::kPunctuation);
  EXPECT_EQ(class_of(U'\x85'), CharClass::kSpace);
  EXPECT_EQ(class_of(U'\u200B'), CharClass::kOther);   // Zero width, no White_Space
  EXPECT_EQ(class_of(U'\u2167'), CharClass::kNumber);  // Roman numeral eight
  EXPECT_EQ(class_of(0x1C89), CharClass::kLetter);     // New in Unicode 16.0
  EXPECT_EQ(class_of(0x10FFFF), CharClass::kOther);
  EXPECT_EQ(class_of(0x110000), CharClass::kOther);
}

}  // namespace
}  // namespace lockstep
