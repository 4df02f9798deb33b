// Virtual time: what happens next, and when. Events of one time come in the order in which they
// were asked for.
#pragma once

#include <algorithm>
#include <cstdint>
#include <functional>
#include <utility>
#include <vector>

namespace lockstep::simulation {

class EventQueue {
 public:
  using Action = std::function<void()>;

  std::int64_t now_us() const { return now_us_; }
  std::uint64_t num_events() const { return num_events_; }

  void after(std::int64_t delay_us, Action action) { at(now_us_ + delay_us, std::move(action)); }

  void at(std::int64_t time_us, Action action) {
    std::uint32_t slot = 0;
    if (free_.empty()) {
      slot = static_cast<std::uint32_t>(actions_.size());
      actions_.push_back(std::move(action));
    } else {
      slot = free_.back();
      free_.pop_back();
      actions_[slot] = std::move(action);
    }
    heap_.push_back({std::max(time_us, now_us_), next_order_++, slot});
    std::push_heap(heap_.begin(), heap_.end(), later);
  }

  // False: nothing will ever happen again.
  bool run_next() {
    if (heap_.empty()) return false;
    std::pop_heap(heap_.begin(), heap_.end(), later);
    const Entry next = heap_.back();
    heap_.pop_back();
    now_us_ = next.time_us;
    ++num_events_;
    const Action action = std::exchange(actions_[next.slot], nullptr);
    free_.push_back(next.slot);
    action();
    return true;
  }

 private:
  struct Entry {
    std::int64_t time_us = 0;
    std::uint64_t order = 0;
    std::uint32_t slot = 0;
  };
  static bool later(const Entry& a, const Entry& b) {
    return std::pair(a.time_us, a.order) > std::pair(b.time_us, b.order);
  }

  std::int64_t now_us_ = 0;
  std::uint64_t next_order_ = 0;
  std::uint64_t num_events_ = 0;
  std::vector<Entry> heap_;
  std::vector<Action> actions_;
  std::vector<std::uint32_t> free_;
};

}  // namespace lockstep::simulation
