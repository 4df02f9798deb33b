#include "base/crash_point.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <csignal>
#include <cstdlib>
#include <set>

namespace lockstep {
namespace {

constexpr std::size_t kPoint = crash_point_index("store.after_commit");

TEST(CrashPoints, HaveNamesOfTheirOwn) {
  const std::set<std::string_view> names(kCrashPoints.begin(), kCrashPoints.end());
  EXPECT_EQ(names.size(), kCrashPoints.size());
}

TEST(CrashPointDeathTest, KillsAtTheHitThatWasNamed) {
  const std::uint64_t before = crash_point_hits("store.after_commit");
  EXPECT_EXIT(
      {
        if (!arm_crash_point("store.after_commit:3").ok()) std::exit(1);
        for (int i = 0; i < 2; ++i) pass_crash_point(kPoint);
        if (crash_point_hits("store.after_commit") != before + 2) std::exit(2);
        pass_crash_point(kPoint);
        std::exit(0);
      },
      testing::KilledBySignal(SIGKILL), "");
}

TEST(CrashPointDeathTest, ReadsTheEnvironment) {
  EXPECT_EXIT(
      {
        ::setenv("LOCKSTEP_CRASH_AT", "store.after_commit", 1);
        pass_crash_point(kPoint);
        std::exit(0);
      },
      testing::KilledBySignal(SIGKILL), "");
}

TEST(CrashPointArm, RefusesWhatNamesNoPoint) {
  for (const char* text : {"", "store", "store.after_commit:0", "store.after_commit:",
                           "store.after_commit:x", "store.after_commit:18446744073709551615"}) {
    const Status armed = arm_crash_point(text);
    ASSERT_FALSE(armed.ok()) << text;
    EXPECT_EQ(armed.error().code, ErrorCode::kInvalidArgument);
  }
}

}  // namespace
}  // namespace lockstep
