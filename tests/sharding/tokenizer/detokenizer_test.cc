#include <gtest/gtest.h>

#include <random>

#include "sharding/tokenizer.h"
#include "sharding/tokenizer/unicode.h"
#include "tests/sharding/tokenizer/tokenizer_support.h"

namespace lockstep {
namespace {

TEST(DetokenizerPush, HoldsACharacterBackUntilItIsWhole) {
  const Tokenizer tokenizer = tokenizer_of(byte_level_blob());
  Detokenizer detokenizer(tokenizer);
  EXPECT_EQ(detokenizer.push(kFirstByte + 0xE2), "");
  EXPECT_EQ(detokenizer.push(kFirstByte + 0x82), "");
  EXPECT_EQ(detokenizer.push(kFirstByte + 0xAC), "\u20AC");
  EXPECT_EQ(detokenizer.finish(), "");
}

TEST(DetokenizerPush, ReplacesAtOnceWhatCannotBecomeACharacter) {
  const Tokenizer tokenizer = tokenizer_of(byte_level_blob());
  Detokenizer detokenizer(tokenizer);
  EXPECT_EQ(detokenizer.push(kFirstByte + 0xE2), "");
  EXPECT_EQ(detokenizer.push(263), "\uFFFDhello");
  EXPECT_EQ(detokenizer.push(kFirstByte + 0xFF), "\uFFFD");
}

TEST(DetokenizerPush, GivesNoTextForSpecialTokens) {
  const Tokenizer tokenizer = tokenizer_of(byte_level_blob());
  Detokenizer detokenizer(tokenizer);
  EXPECT_EQ(detokenizer.push(1), "");
  EXPECT_EQ(detokenizer.push(999999), "");
}

TEST(DetokenizerFinish, ReplacesAnOpenCharacterOnce) {
  const Tokenizer tokenizer = tokenizer_of(byte_level_blob());
  Detokenizer detokenizer(tokenizer);
  detokenizer.push(kFirstByte + 0xF0);
  detokenizer.push(kFirstByte + 0x9F);
  EXPECT_EQ(detokenizer.finish(), "\uFFFD");
  EXPECT_EQ(detokenizer.finish(), "");
}

TEST(DetokenizerPush, TakesTheSpmSpaceOffTheFirstText) {
  const Tokenizer tokenizer = tokenizer_of(spm_blob());
  Detokenizer from_start(tokenizer);
  EXPECT_EQ(from_start.push(1), "");
  EXPECT_EQ(from_start.push(264), "ab");
  EXPECT_EQ(from_start.push(264), " ab");
  Detokenizer continued(tokenizer, true);
  EXPECT_EQ(continued.push(264), " ab");
}

TEST(DetokenizerPush, KeepsTheFirstSpaceWhereNoneWasAdded) {
  Json blob = spm_blob();
  blob["tokenizer.ggml.add_space_prefix"] = false;
  const Tokenizer tokenizer = tokenizer_of(blob);
  EXPECT_EQ(Detokenizer(tokenizer).push(264), " ab");
}

TEST(DetokenizerPush, TogetherGivesWhatAllBytesGive) {
  const Tokenizer tokenizer = tokenizer_of(byte_level_blob());
  for (std::uint64_t seed = 0; seed < 3000; ++seed) {
    std::mt19937_64 random(seed);
    Detokenizer detokenizer(tokenizer);
    std::string text;
    std::string bytes;
    for (std::uint64_t left = random() % 20; left > 0; --left) {
      // Mostly bytes that start and continue characters.
      const TokenId id = random() % 4 == 0
                             ? static_cast<TokenId>(random() % 270)
                             : kFirstByte + 0x80 + static_cast<TokenId>(random() % 128);
      const std::string part = detokenizer.push(id);
      ASSERT_TRUE(is_valid_utf8(part)) << "seed " << seed;
      text += part;
      bytes += tokenizer.token_bytes(id);
    }
    text += detokenizer.finish();
    ASSERT_EQ(text, replace_invalid_utf8(bytes)) << "seed " << seed;
  }
}

TEST(DetokenizerPush, UndoesEncode) {
  const Tokenizer bpe = tokenizer_of(byte_level_blob());
  const Tokenizer spm = tokenizer_of(spm_blob());
  for (const Tokenizer* tokenizer : {&bpe, &spm}) {
    for (const char* text : {"", " ", "  hello  ll", "\u20AC\U0001F999 \n", "</s><s>ab"}) {
      Detokenizer detokenizer(*tokenizer);
      std::string decoded;
      for (const TokenId id : tokenizer->encode(text)) decoded += detokenizer.push(id);
      EXPECT_EQ(decoded + detokenizer.finish(), text);
    }
  }
}

}  // namespace
}  // namespace lockstep
