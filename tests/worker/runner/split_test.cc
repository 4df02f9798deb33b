#include "worker/runner/split.h"

#include <gtest/gtest.h>

#include <chrono>
#include <random>
#include <thread>

#include "base/thread_pool.h"

namespace lockstep {
namespace {

TEST(ShareOf, CoversEverythingOnce) {
  for (int count : {0, 1, 2, 7, 100}) {
    for (int members : {1, 2, 3, 8}) {
      int next = 0;
      for (int m = 0; m < members; ++m) {
        const Range share = share_of(count, m, members);
        EXPECT_EQ(share.begin, next);
        next = share.end;
      }
      EXPECT_EQ(next, count);
    }
  }
}

TEST(ForRangeOfLists, CutsARangeAtTheEndsOfLists) {
  const std::vector<int> sizes = {3, 0, 4, 2};
  const auto size_of = [&](int i) { return sizes[static_cast<std::size_t>(i)]; };
  EXPECT_EQ(total_size(4, size_of), 9);
  std::vector<std::vector<int>> found;
  for_range_of_lists(4, size_of, {2, 8}, [&](int list, Range range) {
    found.push_back({list, range.begin, range.end});
  });
  EXPECT_EQ(found, (std::vector<std::vector<int>>{{0, 2, 3}, {2, 0, 4}, {3, 0, 1}}));
}

// Many operations of several sizes, threads that are slow at random: each unit once, and nobody is
// given what belongs to another operation.
TEST(WorkSharing, GivesEachUnitOnce) {
  for (const int members : {1, 2, 3, 4}) {
    ThreadPool pool(members);
    WorkSharing sharing(members);
    constexpr int kMaxUnits = 61;
    constexpr int kOperations = 400;
    std::vector<std::atomic<int>> times(kMaxUnits);
    std::atomic<int> wrong = 0;
    pool.run([&](int member) {
      std::minstd_rand random(static_cast<unsigned>(member + 1));
      for (int operation = 0; operation < kOperations; ++operation) {
        const int count = operation % (kMaxUnits + 1);
        sharing.run(member, count, 1 + operation % 5, [&](Range range) {
          for (int i = range.begin; i < range.end; ++i) ++times[static_cast<std::size_t>(i)];
          if (random() % 64 == 0) std::this_thread::sleep_for(std::chrono::microseconds(50));
        });
        pool.barrier();
        if (member == 0) {
          for (int i = 0; i < kMaxUnits; ++i) {
            wrong += times[static_cast<std::size_t>(i)].exchange(0) != (i < count ? 1 : 0);
          }
        }
        pool.barrier();
      }
    });
    EXPECT_EQ(wrong.load(), 0) << members << " members";
  }
}

TEST(WorkSharing, TakesFromAMemberThatIsSlow) {
  ThreadPool pool(2);
  WorkSharing sharing(2);
  std::vector<int> of(2);
  pool.run([&](int member) {
    sharing.run(member, 64, 1, [&](Range range) {
      // The slow one has hardly begun when the other is done with its own.
      if (member == 0) std::this_thread::sleep_for(std::chrono::milliseconds(100));
      of[static_cast<std::size_t>(member)] += range.size();
    });
  });
  EXPECT_EQ(of[0] + of[1], 64);
  EXPECT_GT(of[1], 32);
}

}  // namespace
}  // namespace lockstep
