#include "scheduler/gateway/launcher/backoff.h"

#include <gtest/gtest.h>

#include <algorithm>

namespace lockstep {
namespace {

// Gives one byte for ever.
class FixedRandom final : public Random {
 public:
  explicit FixedRandom(std::uint8_t byte) : byte_(byte) {}
  void fill(std::span<std::uint8_t> out) override { std::ranges::fill(out, byte_); }

 private:
  std::uint8_t byte_;
};

TEST(BackoffNext, DoublesUpToTheLongest) {
  FixedRandom none(0);
  Backoff backoff({.first_ms = 100, .longest_ms = 1000, .healthy_ms = 5000});
  std::vector<std::int64_t> waits;
  for (int i = 0; i < 6; ++i) waits.push_back(backoff.next_ms(0, none));
  EXPECT_EQ(waits, (std::vector<std::int64_t>{100, 200, 400, 800, 1000, 1000}));
}

TEST(BackoffNext, BeginsAnewAfterAHealthyLife) {
  FixedRandom none(0);
  Backoff backoff({.first_ms = 100, .longest_ms = 1000, .healthy_ms = 5000});
  EXPECT_EQ(backoff.next_ms(0, none), 100);
  EXPECT_EQ(backoff.next_ms(4999, none), 200);
  EXPECT_EQ(backoff.next_ms(5000, none), 100);
  EXPECT_EQ(backoff.next_ms(0, none), 200);
}

TEST(BackoffNext, TakesOffAtMostHalf) {
  FixedRandom most(255);
  FixedRandom half(128);
  Backoff backoff({.first_ms = 1000, .longest_ms = 1000, .healthy_ms = 5000});
  EXPECT_EQ(backoff.next_ms(0, most), 501);
  EXPECT_EQ(backoff.next_ms(0, half), 750);
}

}  // namespace
}  // namespace lockstep
