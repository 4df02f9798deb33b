#include "base/thread_pool.h"

#include <linux/futex.h>
#include <pthread.h>
#include <sched.h>
#include <sys/syscall.h>
#include <unistd.h>
#include <xmmintrin.h>

#include <algorithm>
#include <atomic>
#include <optional>
#include <thread>
#include <vector>

#include "base/check.h"
#include "base/spin_wait.h"

namespace lockstep {
namespace {

constexpr unsigned kCanonicalMxcsr = 0x1F80;

using Word = std::atomic<std::uint32_t>;
static_assert(sizeof(Word) == 4 && Word::is_always_lock_free, "a futex is a plain 32-bit word");

// A word that threads wait on. `change` wakes nobody with a system call unless somebody sleeps: a
// waiter raises `sleepers` before the kernel compares the word, a changer reads it after changing
// the word, both sequentially consistent, so one of the two sees the other.
class Signal {
 public:
  std::uint32_t load() const { return word_.load(std::memory_order_acquire); }

  void store(std::uint32_t value) {
    word_.store(value);
    wake();
  }

  // Takes one off; wakes the waiters when nothing is left.
  void count_down() {
    if (word_.fetch_sub(1) == 1) wake();
  }

  // Returns when the word differs from `old` (with `until_zero`: when it is 0).
  void wait(std::uint32_t old, bool until_zero, bool exclusive) {
    if (spin_until([&] { return !waiting(load(), old, until_zero); }, exclusive)) return;
    sleepers_.fetch_add(1);
    for (std::uint32_t now = word_.load(); waiting(now, old, until_zero); now = word_.load()) {
      ::syscall(SYS_futex, &word_, FUTEX_WAIT_PRIVATE, now, nullptr, nullptr, 0);
    }
    sleepers_.fetch_sub(1);
  }

 private:
  static bool waiting(std::uint32_t now, std::uint32_t old, bool until_zero) {
    return until_zero ? now != 0 : now == old;
  }

  void wake() {
    if (sleepers_.load() == 0) return;
    ::syscall(SYS_futex, &word_, FUTEX_WAKE_PRIVATE, INT32_MAX, nullptr, nullptr, 0);
  }

  Word word_{0};
  std::atomic<int> sleepers_{0};
};

std::vector<int> allowed_processors() {
  cpu_set_t mask;
  std::vector<int> processors;
  if (::sched_getaffinity(::getpid(), sizeof mask, &mask) != 0) return processors;
  for (int i = 0; i < CPU_SETSIZE; ++i) {
    if (CPU_ISSET(i, &mask)) processors.push_back(i);
  }
  return processors;
}

// Best effort: a mask that shrank in the meantime costs speed, not results.
void bind_this_thread(int processor) {
  cpu_set_t mask;
  CPU_ZERO(&mask);
  CPU_SET(processor, &mask);
  ::pthread_setaffinity_np(::pthread_self(), sizeof mask, &mask);
}

}  // namespace

void set_canonical_float_mode() { _mm_setcsr(kCanonicalMxcsr); }

struct ThreadPool::State {
  // Each on its own cache line: the caller writes the first, the workers the second.
  alignas(64) Signal generation;  // Changes when a task is ready, and at the end.
  alignas(64) Signal unfinished;  // Workers that have not finished the task.
  alignas(64) Signal passed;      // Changes when all members have reached a barrier.
  alignas(64) std::atomic<int> arrived{0};
  alignas(64) Task task = nullptr;  // Null: end. Written by the caller before `generation`.
  void* function = nullptr;
  int num_threads = 1;
  bool exclusive = false;
  std::optional<cpu_set_t> mask_of_caller;  // To give back what pinning took.
  pthread_t caller{};
  std::vector<std::thread> workers;

  void serve(int member, int processor) {
    set_canonical_float_mode();
    if (processor >= 0) bind_this_thread(processor);
    for (std::uint32_t seen = 0;;) {
      generation.wait(seen, false, exclusive);
      seen = generation.load();
      if (task == nullptr) return;
      task(function, member);
      unfinished.count_down();
    }
  }
};

ThreadPlacement share_processors(int num_threads, int index, int sharers) {
  const std::vector<int> allowed = allowed_processors();
  const auto threads = static_cast<std::size_t>(num_threads);
  const std::size_t wanted = threads * static_cast<std::size_t>(sharers);
  ThreadPlacement placement;
  placement.exclusive = wanted <= allowed.size();
  if (wanted == allowed.size()) {
    const auto first = allowed.begin() + std::ptrdiff_t{index} * num_threads;
    placement.processors.assign(first, first + num_threads);
  }
  return placement;
}

ThreadPool::ThreadPool(int num_threads, const ThreadPlacement& placement)
    : state_(std::make_unique<State>()) {
  CHECK(num_threads >= 1, "a pool has at least the thread that calls it");
  State& state = *state_;
  state.num_threads = num_threads;
  const std::vector<int>& processors = placement.processors;
  const bool bound = !processors.empty();
  CHECK(!bound || processors.size() == static_cast<std::size_t>(num_threads),
        "a processor for each member of a pool, or none");
  state.exclusive = placement.exclusive;
  set_canonical_float_mode();
  for (int member = 1; member < num_threads; ++member) {
    const int processor = bound ? processors[static_cast<std::size_t>(member)] : -1;
    state.workers.emplace_back([&state, member, processor] { state.serve(member, processor); });
  }
  if (bound) {
    cpu_set_t mask;
    state.caller = ::pthread_self();
    if (::pthread_getaffinity_np(state.caller, sizeof mask, &mask) == 0) {
      state.mask_of_caller = mask;
      bind_this_thread(processors[0]);
    }
  }
}

namespace {

ThreadPlacement first_processors(int num_threads) {
  ThreadPlacement placement;
  std::vector<int> allowed = allowed_processors();
  placement.exclusive = allowed.size() >= static_cast<std::size_t>(std::max(num_threads, 0));
  if (placement.exclusive) {
    allowed.resize(static_cast<std::size_t>(num_threads));
    placement.processors = std::move(allowed);
  }
  return placement;
}

}  // namespace

ThreadPool::ThreadPool(int num_threads, bool pin)
    : ThreadPool(num_threads, pin ? first_processors(num_threads) : ThreadPlacement{}) {}

ThreadPool::~ThreadPool() {
  State& state = *state_;
  state.task = nullptr;
  state.generation.store(state.generation.load() + 1);
  for (std::thread& worker : state.workers) worker.join();
  if (state.mask_of_caller && ::pthread_equal(state.caller, ::pthread_self()) != 0) {
    ::pthread_setaffinity_np(state.caller, sizeof(cpu_set_t), &*state.mask_of_caller);
  }
}

void ThreadPool::barrier() {
  State& state = *state_;
  if (state.num_threads == 1) return;
  const std::uint32_t seen = state.passed.load();
  if (state.arrived.fetch_add(1, std::memory_order_acq_rel) + 1 == state.num_threads) {
    state.arrived.store(0, std::memory_order_relaxed);
    state.passed.store(seen + 1);
  } else {
    state.passed.wait(seen, false, state.exclusive);
  }
}

int ThreadPool::num_threads() const { return state_->num_threads; }

void ThreadPool::run_erased(Task task, void* function) {
  State& state = *state_;
  set_canonical_float_mode();
  if (state.workers.empty()) {
    task(function, 0);
    return;
  }
  state.task = task;
  state.function = function;
  state.unfinished.store(static_cast<std::uint32_t>(state.workers.size()));
  state.generation.store(state.generation.load() + 1);
  task(function, 0);
  state.unfinished.wait(0, true, state.exclusive);
}

}  // namespace lockstep
