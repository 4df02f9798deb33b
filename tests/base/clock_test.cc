#include "base/clock.h"

#include <gtest/gtest.h>

#include <ctime>

namespace lockstep {
namespace {

TEST(SystemClock, NeverGoesBack) {
  std::int64_t last = system_clock().monotonic_ns();
  for (int i = 0; i < 1000; ++i) {
    const std::int64_t now = system_clock().monotonic_ns();
    ASSERT_GE(now, last);
    last = now;
  }
}

TEST(SystemClock, KnowsTheDate) {
  const std::int64_t before = std::time(nullptr);
  const std::int64_t now = system_clock().unix_seconds();
  EXPECT_GE(now, before - 1);  // time() may read a coarser clock.
  EXPECT_LE(now, std::time(nullptr) + 1);
}

}  // namespace
}  // namespace lockstep
