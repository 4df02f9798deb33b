#include "worker/logprobs.h"

#include <gtest/gtest.h>

#include <cmath>
#include <random>

namespace lockstep {
namespace {

TEST(TokenLogprobs, GivesWhatOneCanCheckByHand) {
  // exp: 1, 1, 2^-1 of the largest: sum 2.5.
  const std::vector<float> logits = {3.0F, 3.0F - std::log(2.0F), 3.0F};
  const TokenLogprobs got = token_logprobs(logits, 1, 2);
  EXPECT_FLOAT_EQ(got.chosen, std::log(0.2F));
  ASSERT_EQ(got.top.size(), 2U);
  EXPECT_EQ(got.top[0].token, 0U);  // Of equals the lower id.
  EXPECT_EQ(got.top[1].token, 2U);
  EXPECT_FLOAT_EQ(got.top[0].logprob, std::log(0.4F));
  EXPECT_EQ(got.top[0].logprob, got.top[1].logprob);
}

TEST(TokenLogprobs, GivesNoTopWhenNoneIsAskedFor) {
  EXPECT_TRUE(token_logprobs(std::vector<float>{1, 2}, 0, 0).top.empty());
}

TEST(TokenLogprobs, GivesNoMoreThanTheVocabularyHas) {
  const TokenLogprobs got = token_logprobs(std::vector<float>{1, 2}, 0, 20);
  ASSERT_EQ(got.top.size(), 2U);
  EXPECT_EQ(got.top[0].token, 1U);
  EXPECT_EQ(got.top[1].logprob, got.chosen);
}

TEST(TokenLogprobs, IsZeroWhereThereIsNoDoubt) {
  EXPECT_EQ(token_logprobs(std::vector<float>{500, 0, -500}, 0, 0).chosen, 0.0F);
  EXPECT_EQ(token_logprobs(std::vector<float>{500, 0, -500}, 2, 0).chosen, -1000.0F);
}

// The tolerance is that of canonical_exp (1.05 ulp of a float in each term of the sum) and one
// rounding of the result.
TEST(TokenLogprobs, AgreesWithTheLibraryOnRandomLogits) {
  std::mt19937_64 random(1);
  for (int i = 0; i < 50; ++i) {
    std::vector<float> logits(1 + random() % 2000);
    for (float& logit : logits) logit = static_cast<float>(random() % 100000) * 4e-4F - 20;
    const auto token = static_cast<std::uint32_t>(random() % logits.size());
    double sum = 0;
    for (const float logit : logits) sum += std::exp(double{logit});
    const double wanted = double{logits[token]} - std::log(sum);
    EXPECT_NEAR(token_logprobs(logits, token, 5).chosen, wanted, 2.5e-7 * (1 + std::abs(wanted)));
  }
}

TEST(TokenLogprobs, KeepsItsBits) {
  std::vector<float> logits(4096);
  for (std::size_t i = 0; i < logits.size(); ++i) {
    logits[i] = static_cast<float>(i * 2654435761U % 8192) * 0.00390625F;
  }
  EXPECT_EQ(token_logprobs(logits, 7, 0).chosen, -0x1.0ffc1ep+4F);
}

}  // namespace
}  // namespace lockstep
