#include "sharding/tokenizer/pretokenizer.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace lockstep {
namespace {

using testing::ElementsAre;

TEST(PretokenizerNamed, KnowsTheNamesOfGgufFiles) {
  EXPECT_EQ(pretokenizer_named("starcoder"), Pretokenizer::kSmollm);
  EXPECT_EQ(pretokenizer_named("llama-bpe"), Pretokenizer::kLlamaBpe);
  EXPECT_EQ(pretokenizer_named("gpt2"), std::nullopt);
  EXPECT_EQ(pretokenizer_names(), "gpt-2, smollm, starcoder, deepseek-coder, llama-bpe, qwen2");
}

TEST(Pretokenize, Gpt2LeavesTheLastSpaceToTheNextWord) {
  EXPECT_THAT(pretokenize(Pretokenizer::kGpt2, "a   b \n"), ElementsAre("a", "  ", " b", " \n"));
  EXPECT_THAT(pretokenize(Pretokenizer::kGpt2, "a\n\nb\tc"),
              ElementsAre("a", "\n", "\n", "b", "\t", "c"));
}

TEST(Pretokenize, Gpt2CutsContractionsNumbersAndSigns) {
  EXPECT_THAT(pretokenize(Pretokenizer::kGpt2, "I've it'S 123 !?x'"),
              ElementsAre("I", "'ve", " it", "'", "S", " 123", " !?", "x", "'"));
}

TEST(Pretokenize, SmollmCutsSingleDigitsFirst) {
  EXPECT_THAT(pretokenize(Pretokenizer::kSmollm, "ab  12"), ElementsAre("ab", "  ", "1", "2"));
}

TEST(Pretokenize, LlamaBpeCutsNumbersInRunsOfThree) {
  EXPECT_THAT(pretokenize(Pretokenizer::kLlamaBpe, "1234567"), ElementsAre("123", "456", "7"));
  EXPECT_THAT(pretokenize(Pretokenizer::kQwen2, "12"), ElementsAre("1", "2"));
}

TEST(Pretokenize, LlamaBpeJoinsSignsWithLettersAndNewlines) {
  EXPECT_THAT(pretokenize(Pretokenizer::kLlamaBpe, "(x) =>\r\n  y \n z"),
              ElementsAre("(x", ")", " =>\r\n", " ", " y", " \n", " z"));
}

TEST(Pretokenize, LlamaBpeIgnoresTheCaseOfContractions) {
  EXPECT_THAT(pretokenize(Pretokenizer::kLlamaBpe, "WE'LLx"), ElementsAre("WE", "'LL", "x"));
  EXPECT_THAT(pretokenize(Pretokenizer::kLlamaBpe, "it'\u017Fx"),
              ElementsAre("it", "'\u017F", "x"));  // Long s folds to s.
}

TEST(Pretokenize, DeepseekCoderCutsNewlinesAndCjkApart) {
  EXPECT_THAT(pretokenize(Pretokenizer::kDeepseekCoder, " ab\u4E2D\u6587c\n\n12 ,."),
              ElementsAre(" ab", "\u4E2D\u6587", "c", "\n", "\n", "1", "2", " ,."));
}

TEST(Pretokenize, EmptyTextHasNoWords) {
  for (const Pretokenizer each :
       {Pretokenizer::kGpt2, Pretokenizer::kSmollm, Pretokenizer::kDeepseekCoder,
        Pretokenizer::kLlamaBpe, Pretokenizer::kQwen2}) {
    EXPECT_THAT(pretokenize(each, ""), ElementsAre());
  }
}

}  // namespace
}  // namespace lockstep
