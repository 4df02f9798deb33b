#include "base/thread_pool.h"

#include <gtest/gtest.h>
#include <sched.h>
#include <xmmintrin.h>

#include <atomic>
#include <chrono>
#include <numeric>
#include <set>
#include <thread>
#include <vector>

namespace lockstep {
namespace {

constexpr unsigned kControl = ~0x3FU;  // All of MXCSR but the sticky exception flags.

TEST(ThreadPoolRun, CallsEveryMemberOnceAndTheCallerAsMemberZero) {
  for (const int size : {1, 2, 3, 8}) {
    ThreadPool pool(size);
    std::vector<int> calls(static_cast<std::size_t>(size));
    std::vector<std::thread::id> threads(calls.size());
    pool.run([&](int member) {
      ++calls[static_cast<std::size_t>(member)];
      threads[static_cast<std::size_t>(member)] = std::this_thread::get_id();
    });
    EXPECT_EQ(calls, std::vector<int>(calls.size(), 1));
    EXPECT_EQ(threads[0], std::this_thread::get_id());
    EXPECT_EQ(std::set(threads.begin(), threads.end()).size(), threads.size());
  }
}

TEST(ThreadPoolRun, IsDoneWithEveryTaskWhenItReturns) {
  ThreadPool pool(3);
  std::vector<std::int64_t> sums(3);  // Not atomic: run() orders the accesses.
  for (int round = 0; round < 2000; ++round) {
    pool.run([&](int member) { sums[static_cast<std::size_t>(member)] += round; });
    ASSERT_EQ(std::accumulate(sums.begin(), sums.end(), std::int64_t{0}),
              3LL * round * (round + 1) / 2);
  }
}

TEST(ThreadPoolRun, WakesWorkersThatSleep) {
  ThreadPool pool(2);
  std::atomic<int> calls = 0;
  for (int round = 0; round < 5; ++round) {
    std::this_thread::sleep_for(std::chrono::milliseconds(2));  // Far beyond the spin.
    pool.run([&](int) { ++calls; });
  }
  EXPECT_EQ(calls, 10);
}

TEST(ThreadPoolRun, WaitsForAWorkerThatIsSlow) {
  ThreadPool pool(2);
  bool finished = false;
  pool.run([&](int member) {
    if (member == 0) return;
    std::this_thread::sleep_for(std::chrono::milliseconds(5));
    finished = true;
  });
  EXPECT_TRUE(finished);
}

TEST(ThreadPoolRun, GivesEveryMemberTheCanonicalFloatMode) {
  ThreadPool pool(2);
  _mm_setcsr(0x9FC0);  // Flush to zero, denormals are zero: what an outside library may leave.
  std::vector<unsigned> modes(2);
  pool.run([&](int member) { modes[static_cast<std::size_t>(member)] = _mm_getcsr(); });
  EXPECT_EQ(modes[0] & kControl, 0x1F80U);
  EXPECT_EQ(modes[1] & kControl, 0x1F80U);
}

TEST(ThreadPoolSplit, CoversEveryIndexOnceInContiguousRanges) {
  for (const int size : {1, 2, 3, 5}) {
    ThreadPool pool(size);
    for (const std::int64_t count : {0, 1, 2, 4, 7, 64, 1000}) {
      std::vector<std::atomic<int>> hits(static_cast<std::size_t>(count));
      std::atomic<int> ranges = 0;
      pool.split(count, [&](std::int64_t begin, std::int64_t end) {
        EXPECT_LT(begin, end);
        ++ranges;
        for (std::int64_t i = begin; i < end; ++i) ++hits[static_cast<std::size_t>(i)];
      });
      EXPECT_LE(ranges, size);
      for (const auto& hit : hits) EXPECT_EQ(hit, 1);
    }
  }
}

TEST(ThreadPoolPin, GivesEachMemberItsOwnProcessorAndTheCallerItsMaskBack) {
  cpu_set_t before;
  ASSERT_EQ(::sched_getaffinity(0, sizeof before, &before), 0);
  if (CPU_COUNT(&before) < 2) GTEST_SKIP() << "needs two processors";
  {
    ThreadPool pool(2, true);
    std::vector<cpu_set_t> masks(2);
    pool.run([&](int member) {
      ::sched_getaffinity(0, sizeof(cpu_set_t), &masks[static_cast<std::size_t>(member)]);
    });
    cpu_set_t both;
    CPU_AND(&both, &masks[0], &masks[1]);
    EXPECT_EQ(CPU_COUNT(&masks[0]), 1);
    EXPECT_EQ(CPU_COUNT(&masks[1]), 1);
    EXPECT_EQ(CPU_COUNT(&both), 0);
  }
  cpu_set_t after;
  ASSERT_EQ(::sched_getaffinity(0, sizeof after, &after), 0);
  EXPECT_TRUE(CPU_EQUAL(&before, &after));
}

TEST(ThreadPoolBarrier, LetsNobodyPassBeforeAllHaveCome) {
  for (const int size : {1, 2, 5}) {
    ThreadPool pool(size);
    std::vector<int> turns(static_cast<std::size_t>(size), 0);
    std::atomic<int> behind{0};
    pool.run([&](int member) {
      for (int turn = 1; turn <= 200; ++turn) {
        turns[static_cast<std::size_t>(member)] = turn;
        pool.barrier();
        for (const int other : turns) {
          if (other != turn) ++behind;
        }
        pool.barrier();
      }
    });
    EXPECT_EQ(behind, 0);
  }
}

TEST(ShareProcessors, BindsWhereThePoolsFillTheMask) {
  cpu_set_t mask;
  ASSERT_EQ(sched_getaffinity(0, sizeof mask, &mask), 0);
  const int count = CPU_COUNT(&mask);
  std::set<int> seen;
  for (int i = 0; i < count; ++i) {
    const ThreadPlacement placement = share_processors(1, i, count);
    EXPECT_TRUE(placement.exclusive);
    ASSERT_EQ(placement.processors.size(), 1U);
    seen.insert(placement.processors[0]);
  }
  EXPECT_EQ(seen.size(), static_cast<std::size_t>(count));
  EXPECT_FALSE(share_processors(1, 0, count + 1).exclusive);
  EXPECT_TRUE(share_processors(1, 0, count + 1).processors.empty());
}

TEST(ThreadPoolDeathTest, NeedsOneThread) { EXPECT_DEATH(ThreadPool(0), "a pool has at least"); }

}  // namespace
}  // namespace lockstep
