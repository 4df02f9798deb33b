#include "scheduler/gateway/task_thread.h"

#include <chrono>
#include <utility>

namespace lockstep {

TaskThread::TaskThread(int tick_ms, std::function<void()> tick)
    : tick_ms_(tick_ms), tick_(std::move(tick)) {}

TaskThread::~TaskThread() { stop(); }

void TaskThread::start() {
  thread_ = std::thread([this] { run(); });
}

void TaskThread::post(std::function<void()> task) {
  {
    const std::lock_guard lock(mutex_);
    if (is_stopping_) return;
    tasks_.push_back(std::move(task));
  }
  posted_.notify_one();
}

void TaskThread::stop() {
  {
    const std::lock_guard lock(mutex_);
    is_stopping_ = true;
  }
  posted_.notify_one();
  if (thread_.joinable()) thread_.join();
}

void TaskThread::run() {
  using SteadyClock = std::chrono::steady_clock;
  auto due = SteadyClock::now();
  while (true) {
    std::deque<std::function<void()>> tasks;
    {
      std::unique_lock lock(mutex_);
      posted_.wait_until(lock, due, [this] { return !tasks_.empty() || is_stopping_; });
      if (tasks_.empty() && is_stopping_) return;
      tasks.swap(tasks_);
    }
    for (const auto& task : tasks) task();
    if (SteadyClock::now() >= due) {
      tick_();
      due = SteadyClock::now() + std::chrono::milliseconds(tick_ms_);
    }
  }
}

}  // namespace lockstep
