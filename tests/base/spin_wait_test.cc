#include "base/spin_wait.h"

#include <gtest/gtest.h>

#include <atomic>
#include <thread>

namespace lockstep {
namespace {

TEST(SpinUntil, SeesWhatIsDoneAlready) {
  for (const bool exclusive : {false, true}) {
    int looks = 0;
    EXPECT_TRUE(spin_until([&] { return ++looks == 1; }, exclusive));
    EXPECT_EQ(looks, 1);
  }
}

TEST(SpinUntil, GivesUpInTime) {
  for (const bool exclusive : {false, true}) {
    const auto start = std::chrono::steady_clock::now();
    EXPECT_FALSE(spin_until([] { return false; }, exclusive));
    const auto took = std::chrono::steady_clock::now() - start;
    EXPECT_GE(took, std::chrono::microseconds(200));
    EXPECT_LT(took, std::chrono::seconds(2));  // The machine may be busy.
  }
}

TEST(SpinUntil, SeesWhatAnotherThreadDoes) {
  for (const bool exclusive : {false, true}) {
    std::atomic<bool> is_done = false;
    std::thread other([&] { is_done.store(true); });
    while (!spin_until([&] { return is_done.load(); }, exclusive)) {
    }
    other.join();
  }
}

}  // namespace
}  // namespace lockstep
