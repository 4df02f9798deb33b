// One thread that runs functions in the order in which they were given, and a tick in between.
#pragma once

#include <condition_variable>
#include <cstdint>
#include <deque>
#include <functional>
#include <mutex>
#include <thread>

namespace lockstep {

class TaskThread {
 public:
  // `tick` runs on the thread every `tick_ms`, late when a task takes long.
  TaskThread(int tick_ms, std::function<void()> tick);
  // stop().
  ~TaskThread();
  TaskThread(const TaskThread&) = delete;
  TaskThread& operator=(const TaskThread&) = delete;

  void start();
  // Any thread. What is posted after stop() is dropped. Bounded by who posts: each connection,
  // commit and replica has at most a few tasks on their way.
  void post(std::function<void()> task);
  // Runs what was posted, then ends the thread.
  void stop();

 private:
  void run();

  const int tick_ms_;
  const std::function<void()> tick_;
  std::mutex mutex_;
  std::condition_variable posted_;
  std::deque<std::function<void()>> tasks_;
  bool is_stopping_ = false;
  std::thread thread_;
};

}  // namespace lockstep
