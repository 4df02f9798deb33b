// A stack of its own on which a function runs until it switches to another fiber. Fibers stay on
// the operating-system thread that prepared them.
#pragma once

#include <cstddef>

namespace lockstep::emulator {

inline constexpr std::size_t kFiberStackBytes = 128 * 1024;

class Fiber {
 public:
  Fiber();
  ~Fiber();
  Fiber(const Fiber&) = delete;
  Fiber& operator=(const Fiber&) = delete;

  // The next switch here calls entry(argument), which must switch away and never return. Whatever
  // ran here before is abandoned: no destructor of it is called.
  void prepare(void (*entry)(void*), void* argument);

  // Suspends `from`, which is the running one, and goes on with this one. A fiber that was never
  // prepared stands for the stack of the thread itself.
  void switch_from(Fiber& from);

 private:
  struct Machine;  // Registers, or a ucontext_t.
  friend void begin_fiber(Fiber* fiber);

  Machine* machine_;
  std::byte* stack_ = nullptr;
  void (*entry_)(void*) = nullptr;
  void* argument_ = nullptr;
  // What AddressSanitizer wants to know of a stack before it is entered.
  void* fake_stack_ = nullptr;
  const void* stack_bottom_ = nullptr;
  std::size_t stack_bytes_ = 0;
};

}  // namespace lockstep::emulator
