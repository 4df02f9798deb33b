#include "chainbridge/outbox/fees.h"

#include <gtest/gtest.h>

namespace lockstep {
namespace {

TEST(FirstFees, TakesTheSuggestionUpToTheCap) {
  const GasFees suggested{.max_fee = 210, .max_priority = 10};
  EXPECT_EQ(first_fees(suggested, 100, 1'000), suggested);
  EXPECT_EQ(first_fees(suggested, 100, 150), (GasFees{.max_fee = 150, .max_priority = 10}));
  EXPECT_EQ(first_fees(suggested, 100, 110), (GasFees{.max_fee = 110, .max_priority = 10}));
  EXPECT_FALSE(first_fees(suggested, 100, 109)) << "not even the block that comes next";
}

TEST(ReplacementFees, RaisesBothByAnEighthAtLeast) {
  const GasFees old{.max_fee = 800, .max_priority = 80};
  EXPECT_EQ(replacement_fees(old, {}, 10'000), (GasFees{.max_fee = 900, .max_priority = 90}));
  EXPECT_EQ(replacement_fees(old, {2'000, 85}, 10'000),
            (GasFees{.max_fee = 2'000, .max_priority = 90}));
  EXPECT_EQ(replacement_fees(old, {2'000, 200}, 1'000),
            (GasFees{.max_fee = 1'000, .max_priority = 200}));
  EXPECT_EQ(replacement_fees({1, 0}, {}, 10), (GasFees{.max_fee = 2, .max_priority = 1}));
  EXPECT_EQ(replacement_fees({801, 81}, {}, 10'000), (GasFees{.max_fee = 902, .max_priority = 92}))
      << "rounded up";
}

TEST(ReplacementFees, StopsAtTheCap) {
  EXPECT_FALSE(replacement_fees({800, 80}, {}, 899));
  EXPECT_TRUE(replacement_fees({800, 80}, {}, 900));
}

TEST(WorstFee, DoesNotOverflow) {
  EXPECT_EQ(worst_fee(3, {7, 1}), Uint256(21));
  Uint256 most;
  most.limbs.fill(UINT64_MAX);
  EXPECT_FALSE(worst_fee(2, {most, 1}));
}

}  // namespace
}  // namespace lockstep
