#include "base/random.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <vector>

namespace lockstep {
namespace {

TEST(SystemRandom, FillsEveryByteAndNeverTwiceAlike) {
  // All 256 values in 64 KiB: the chance that one is missing is below 10^-100.
  std::vector<std::uint8_t> first(1 << 16);
  std::vector<std::uint8_t> second(first.size());
  system_random().fill(first);
  system_random().fill(second);
  EXPECT_NE(first, second);
  for (int value = 0; value < 256; ++value) {
    EXPECT_NE(std::ranges::find(first, value), first.end()) << value;
  }
  EXPECT_NE(std::vector<std::uint8_t>(first.end() - 64, first.end()),
            std::vector<std::uint8_t>(64));
}

TEST(SystemRandom, LeavesBytesOutsideAlone) {
  std::array<std::uint8_t, 3> bytes = {1, 2, 3};
  system_random().fill(std::span(bytes).subspan(1, 0));
  EXPECT_EQ(bytes, (std::array<std::uint8_t, 3>{1, 2, 3}));
}

}  // namespace
}  // namespace lockstep
