#include "cli/bench/serve/arrival.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <limits>

namespace lockstep {
namespace {

constexpr double kInfinity = std::numeric_limits<double>::infinity();

std::vector<double> times(std::size_t count, double rate, double burstiness, std::uint64_t seed) {
  std::mt19937_64 random(seed);
  return arrival_times(count, {.request_rate = rate, .burstiness = burstiness}, random);
}

// Deviation of the gaps over their mean: 1 / sqrt(shape) of a gamma distribution.
double variation(const std::vector<double>& arrivals) {
  std::vector<double> gaps;
  for (std::size_t i = 1; i < arrivals.size(); ++i) gaps.push_back(arrivals[i] - arrivals[i - 1]);
  double mean = 0;
  for (const double gap : gaps) mean += gap / static_cast<double>(gaps.size());
  double squares = 0;
  for (const double gap : gaps) squares += (gap - mean) * (gap - mean);
  return std::sqrt(squares / static_cast<double>(gaps.size())) / mean;
}

TEST(ArrivalTimes, AreZeroAtAnInfiniteRate) {
  EXPECT_EQ(times(3, kInfinity, 1, 0), (std::vector<double>{0, 0, 0}));
}

TEST(ArrivalTimes, TickLikeAClockAtInfiniteBurstiness) {
  EXPECT_EQ(times(4, 2, kInfinity, 0), (std::vector<double>{0.5, 1, 1.5, 2}));
}

TEST(ArrivalTimes, RiseAndEndWhereTheRateSays) {
  for (const double burstiness : {0.1, 1.0, 10.0}) {
    const std::vector<double> arrivals = times(1000, 50, burstiness, 7);
    EXPECT_TRUE(std::ranges::is_sorted(arrivals));
    EXPECT_GT(arrivals.front(), 0);
    EXPECT_DOUBLE_EQ(arrivals.back(), 20);
  }
}

TEST(ArrivalTimes, AreAsBurstyAsAsked) {
  // 20,000 gaps: the estimate's own deviation is below 2 %, at 0.25 below 4 %.
  EXPECT_NEAR(variation(times(20000, 10, 1, 1)), 1.0, 0.06);
  EXPECT_NEAR(variation(times(20000, 10, 4, 2)), 0.5, 0.03);
  EXPECT_NEAR(variation(times(20000, 10, 0.25, 3)), 2.0, 0.2);
}

TEST(ArrivalTimes, AreTheSameForTheSameSeed) {
  EXPECT_EQ(times(100, 10, 0.5, 9), times(100, 10, 0.5, 9));
  EXPECT_NE(times(100, 10, 0.5, 9), times(100, 10, 0.5, 10));
}

TEST(UniformDraw, LiesInsideItsOpenInterval) {
  std::mt19937_64 random(1);
  double least = 1;
  double most = 0;
  for (int i = 0; i < 10000; ++i) {
    const double draw = uniform_draw(random);
    least = std::min(least, draw);
    most = std::max(most, draw);
  }
  EXPECT_GT(least, 0);
  EXPECT_LT(least, 0.01);
  EXPECT_LT(most, 1);
  EXPECT_GT(most, 0.99);
}

}  // namespace
}  // namespace lockstep
