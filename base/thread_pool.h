// A fixed team of threads that runs one function on every member and waits for all.
//
// The caller is member 0. Workers spin about 2 us for the next task (200 us when pinned), then
// sleep on a futex: a pure spin collapses when there are more ranks than cores. Every member runs
// with MXCSR = 0x1F80 (numerics: nearest even, subnormals kept).
#pragma once

#include <cstdint>
#include <memory>
#include <type_traits>

namespace lockstep {

class ThreadPool {
 public:
  // Requires: num_threads >= 1. With `pin`, member i is bound to the i-th processor of this
  // process's affinity mask, if the mask has that many; the caller is member 0 and gets its own
  // mask back when it destroys the pool.
  explicit ThreadPool(int num_threads, bool pin = false);
  ~ThreadPool();
  ThreadPool(const ThreadPool&) = delete;
  ThreadPool& operator=(const ThreadPool&) = delete;

  int num_threads() const;

  // Calls function(member) for every member in [0, num_threads) at once and returns when all are
  // done. One caller at a time; not reentrant.
  template <typename Function>
  void run(Function&& function) {
    using F = std::remove_reference_t<Function>;
    run_erased([](void* f, int member) { (*static_cast<F*>(f))(member); },
               const_cast<void*>(static_cast<const void*>(&function)));
  }

  // Called by every member inside run(): returns when all have called it.
  void barrier();

  // Splits [0, count) into one contiguous range a member and calls function(begin, end) for those
  // that are not empty.
  template <typename Function>
  void split(std::int64_t count, Function&& function) {
    const int members = num_threads();
    if (members == 1 || count <= 1) {
      if (count > 0) function(std::int64_t{0}, count);
      return;
    }
    run([&](int member) {
      const std::int64_t begin = count * member / members;
      const std::int64_t end = count * (member + 1) / members;
      if (begin < end) function(begin, end);
    });
  }

 private:
  using Task = void (*)(void* function, int member);
  void run_erased(Task task, void* function);

  struct State;
  std::unique_ptr<State> state_;
};

// Sets this thread's MXCSR to 0x1F80. Every thread that computes on a canonical path calls it once.
void set_canonical_float_mode();

}  // namespace lockstep
