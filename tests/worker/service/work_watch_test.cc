#include "worker/service/work_watch.h"

#include <gtest/gtest.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <thread>

namespace lockstep {
namespace {

constexpr std::uint64_t kMs = 1'000'000;

std::uint32_t update(StallMeter& meter, std::int64_t now_ms, std::uint64_t demand_ns,
                     bool is_stopped = false) {
  const WorkSample sample{is_stopped, demand_ns};
  return meter.update(now_ms, static_cast<std::uint32_t>(now_ms), {&sample, 1});
}

TEST(StallMeter, MeasuresSinceSomebodyWorkedOnTheStep) {
  StallMeter meter;
  EXPECT_EQ(update(meter, 500, 500 * kMs), 0U);
  EXPECT_EQ(update(meter, 1000, 560 * kMs), 0U);     // More than a tenth of a processor.
  EXPECT_EQ(update(meter, 1500, 600 * kMs), 500U);   // Less.
  EXPECT_EQ(update(meter, 2000, 600 * kMs), 1000U);  // Nothing.
  EXPECT_EQ(update(meter, 2500, 700 * kMs), 0U);
}

TEST(StallMeter, IsZeroBetweenSteps) {
  StallMeter meter;
  const WorkSample idle{};
  EXPECT_EQ(meter.update(90'000, 0, {&idle, 1}), 0U);
  EXPECT_EQ(meter.update(90'500, 400, {&idle, 1}), 400U);  // No longer than the step.
}

TEST(StallMeter, CountsAStoppedProcessWhateverTheOthersDo) {
  StallMeter meter;
  EXPECT_EQ(update(meter, 500, 500 * kMs), 0U);
  EXPECT_EQ(update(meter, 1000, 1000 * kMs, true), 500U);
  EXPECT_EQ(update(meter, 1500, 1500 * kMs, true), 1000U);
  EXPECT_EQ(update(meter, 2000, 2000 * kMs), 0U);
}

TEST(StallMeter, KnowsNothingButTheAgeWithoutSamples) {
  StallMeter meter;
  EXPECT_EQ(meter.update(1000, 0, {}), 0U);
  EXPECT_EQ(meter.update(3000, 1900, {}), 1900U);
}

TEST(SampleWork, TellsABusyProcessFromASleepingAndAStoppedOne) {
  const pid_t child = ::fork();
  if (child == 0) {
    while (true) {
    }
  }
  const auto pause = [] { std::this_thread::sleep_for(std::chrono::milliseconds(50)); };
  const auto before = sample_work(child);
  pause();
  const auto busy = sample_work(child);
  ASSERT_TRUE(before && busy);
  EXPECT_GT(busy->demand_ns, before->demand_ns + 20 * kMs);
  EXPECT_FALSE(busy->is_stopped);
  ::kill(child, SIGSTOP);
  int status = 0;
  ASSERT_EQ(::waitpid(child, &status, WUNTRACED), child);
  const auto stopped = sample_work(child);
  pause();
  const auto later = sample_work(child);
  ASSERT_TRUE(stopped && later);
  EXPECT_TRUE(stopped->is_stopped);
  EXPECT_EQ(later->demand_ns, stopped->demand_ns);
  ::kill(child, SIGKILL);
  ASSERT_EQ(::waitpid(child, &status, 0), child);
  EXPECT_FALSE(sample_work(child));
}

}  // namespace
}  // namespace lockstep
