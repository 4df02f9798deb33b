// A fixed team of threads that runs one function on every member and waits for all.
//
// The caller is member 0. Whoever waits spins or gives way for a while (base/spin_wait.h), then
// sleeps on a futex: a pure spin collapses when there are more ranks than cores.
// Every member runs with MXCSR = 0x1F80 (numerics: nearest even, subnormals kept).
#pragma once

#include <cstdint>
#include <memory>
#include <type_traits>
#include <vector>

namespace lockstep {

// Where the members of a pool run.
struct ThreadPlacement {
  std::vector<int> processors;  // Member i is bound to the i-th; empty: where the system likes.
  bool exclusive = false;       // Every member has a processor to itself.
};

// For the `index`-th of `sharers` pools of `num_threads` that share this process's affinity mask.
// They are bound where they fill the mask; where processors are left, the system knows better which
// are idle.
ThreadPlacement share_processors(int num_threads, int index, int sharers);

class ThreadPool {
 public:
  // Requires: num_threads >= 1. The caller gets its own affinity mask back when it destroys the
  // pool.
  explicit ThreadPool(int num_threads, const ThreadPlacement& placement = {});
  // With `pin`, member i is bound to the i-th processor of this process's affinity mask, if the
  // mask has that many.
  ThreadPool(int num_threads, bool pin);
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
