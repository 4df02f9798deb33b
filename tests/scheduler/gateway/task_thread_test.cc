#include "scheduler/gateway/task_thread.h"

#include <gtest/gtest.h>

#include <atomic>
#include <functional>
#include <thread>
#include <vector>

namespace lockstep {
namespace {

TEST(TaskThreadPost, RunsTasksInOrderOnOneThread) {
  std::vector<int> order;
  std::thread::id thread;
  TaskThread tasks(1000, [] {});
  tasks.start();
  for (int i = 0; i < 100; ++i) {
    tasks.post([&, i] {
      order.push_back(i);
      thread = std::this_thread::get_id();
    });
  }
  tasks.stop();
  ASSERT_EQ(order.size(), 100U);
  for (int i = 0; i < 100; ++i) EXPECT_EQ(order[static_cast<std::size_t>(i)], i);
  EXPECT_NE(thread, std::this_thread::get_id());
}

TEST(TaskThreadPost, TakesTasksFromTasks) {
  std::atomic<bool> ran = false;
  TaskThread tasks(1000, [] {});
  tasks.start();
  tasks.post([&] {
    tasks.post([&] {
      ran = true;
      ran.notify_one();
    });
  });
  ran.wait(false);
  tasks.stop();
}

TEST(TaskThreadPost, DropsWhatComesBehindStop) {
  bool ran = false;
  TaskThread tasks(1000, [] {});
  tasks.start();
  tasks.stop();
  tasks.post([&] { ran = true; });
  tasks.stop();
  EXPECT_FALSE(ran);
}

TEST(TaskThreadTick, ComesBesidesTasksThatNeverEnd) {
  std::atomic<int> ticks = 0;
  TaskThread tasks(1, [&] { ++ticks; });
  std::function<void()> again = [&] {
    if (ticks < 5) tasks.post(again);
  };
  tasks.start();
  tasks.post(again);
  while (ticks < 5) std::this_thread::yield();
  tasks.stop();
  EXPECT_GE(ticks, 5);
}

}  // namespace
}  // namespace lockstep
