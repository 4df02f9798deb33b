#include "base/checked.h"

#include <gtest/gtest.h>

#include <cstdint>

namespace lockstep {
namespace {

TEST(CheckedMul, GivesNothingWhenTheProductDoesNotFit) {
  EXPECT_EQ(checked_mul<std::int32_t>(46340, 46340), 2147395600);
  EXPECT_EQ(checked_mul<std::int32_t>(46341, 46341), std::nullopt);
  EXPECT_EQ(checked_mul<std::uint64_t>(1ULL << 32, 1ULL << 32), std::nullopt);
  EXPECT_EQ(checked_mul<std::uint64_t>((1ULL << 32) - 1, (1ULL << 32) + 1), UINT64_MAX);
}

TEST(CheckedAdd, GivesNothingWhenTheSumDoesNotFit) {
  EXPECT_EQ(checked_add<std::uint8_t>(200, 55), 255);
  EXPECT_EQ(checked_add<std::uint8_t>(200, 56), std::nullopt);
  EXPECT_EQ(checked_add<std::int64_t>(INT64_MIN, -1), std::nullopt);
}

TEST(Narrow, KeepsTheValue) {
  EXPECT_EQ(narrow<std::uint8_t>(255), 255);
  EXPECT_EQ(narrow<std::int8_t>(std::int64_t{-128}), -128);
}

TEST(NarrowDeathTest, AbortsWhenTheValueDoesNotFit) {
  EXPECT_DEATH(narrow<std::uint8_t>(256), "does not fit");
  EXPECT_DEATH(narrow<std::uint32_t>(-1), "does not fit");
}

TEST(CeilDiv, RoundsUpAlsoNextToTheLimit) {
  EXPECT_EQ(ceil_div(0, 16), 0);
  EXPECT_EQ(ceil_div(1, 16), 1);
  EXPECT_EQ(ceil_div(16, 16), 1);
  EXPECT_EQ(ceil_div(17, 16), 2);
  EXPECT_EQ(ceil_div<std::int32_t>(INT32_MAX, 2), 1 << 30);
}

TEST(RoundUp, GivesTheNextMultiple) {
  EXPECT_EQ(round_up(0, 32), 0);
  EXPECT_EQ(round_up(1, 32), 32);
  EXPECT_EQ(round_up(32, 32), 32);
  EXPECT_EQ(round_up(33, 32), 64);
}

}  // namespace
}  // namespace lockstep
