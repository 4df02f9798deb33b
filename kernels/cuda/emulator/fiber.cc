#include "kernels/cuda/emulator/fiber.h"

#include <sys/mman.h>

#include <cstdint>
#include <cstring>

#include "base/check.h"

#if defined(__SANITIZE_ADDRESS__)
#define LOCKSTEP_FIBER_ASAN 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define LOCKSTEP_FIBER_ASAN 1
#endif
#endif
#if defined(LOCKSTEP_FIBER_ASAN)
#include <sanitizer/asan_interface.h>
#include <sanitizer/common_interface_defs.h>
#endif

// The assembly below knows the calling convention of x86-64; ucontext is ten times slower (a system
// call per switch) and runs everywhere.
#if !defined(__x86_64__) && !defined(LOCKSTEP_FIBER_UCONTEXT)
#define LOCKSTEP_FIBER_UCONTEXT 1
#endif

#if defined(LOCKSTEP_FIBER_UCONTEXT)
#include <ucontext.h>
#else
// Saves what a call must preserve on the running stack, and takes it from the other. (The control
// words of the floating-point units are the same for all fibers of a thread.)
extern "C" void lockstep_fiber_switch(void** save, void* load);
asm(R"(
.text
.align 16
.globl lockstep_fiber_switch
.hidden lockstep_fiber_switch
.type lockstep_fiber_switch, @function
lockstep_fiber_switch:
  pushq %rbp
  pushq %rbx
  pushq %r12
  pushq %r13
  pushq %r14
  pushq %r15
  movq %rsp, (%rdi)
  movq %rsi, %rsp
  popq %r15
  popq %r14
  popq %r13
  popq %r12
  popq %rbx
  popq %rbp
  ret
.size lockstep_fiber_switch, .-lockstep_fiber_switch
)");
#endif

namespace lockstep::emulator {

// The fiber that is being entered and the one that was left; a fiber never leaves its thread.
thread_local Fiber* entered_fiber = nullptr;
thread_local Fiber* left_fiber = nullptr;

#if defined(LOCKSTEP_FIBER_UCONTEXT)
struct Fiber::Machine {
  ucontext_t context;
};
#else
struct Fiber::Machine {
  void* stack_pointer;
};
#endif

// The first frame of every fiber.
void begin_fiber(Fiber* fiber) {
#if defined(LOCKSTEP_FIBER_ASAN)
  __sanitizer_finish_switch_fiber(nullptr, &left_fiber->stack_bottom_, &left_fiber->stack_bytes_);
#endif
  fiber->entry_(fiber->argument_);
  CHECK(false, "a fiber returned");
}

namespace {

void begin_entered() { begin_fiber(entered_fiber); }

}  // namespace

Fiber::Fiber() : machine_(new Machine{}) {}

Fiber::~Fiber() {
  delete machine_;
  if (stack_ != nullptr) munmap(stack_, kFiberStackBytes);
}

void Fiber::prepare(void (*entry)(void*), void* argument) {
  if (stack_ == nullptr) {
    void* memory = mmap(nullptr, kFiberStackBytes, PROT_READ | PROT_WRITE,
                        MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    CHECK(memory != MAP_FAILED, "no memory for the stack of a fiber");
    stack_ = static_cast<std::byte*>(memory);
    stack_bottom_ = stack_;
    stack_bytes_ = kFiberStackBytes;
  }
#if defined(LOCKSTEP_FIBER_ASAN)
  __asan_unpoison_memory_region(stack_, kFiberStackBytes);  // What ran here may be abandoned.
#endif
  entry_ = entry;
  argument_ = argument;
  fake_stack_ = nullptr;
#if defined(LOCKSTEP_FIBER_UCONTEXT)
  getcontext(&machine_->context);
  machine_->context.uc_stack.ss_sp = stack_;
  machine_->context.uc_stack.ss_size = kFiberStackBytes;
  machine_->context.uc_link = nullptr;
  makecontext(&machine_->context, begin_entered, 0);
#else
  // Six registers, then where `ret` goes; a function begins 8 bytes off a multiple of 16.
  auto* top = reinterpret_cast<std::uintptr_t*>(stack_ + kFiberStackBytes - 16);
  *top = reinterpret_cast<std::uintptr_t>(&begin_entered);
  std::memset(top - 6, 0, 6 * sizeof *top);
  machine_->stack_pointer = top - 6;
#endif
}

void Fiber::switch_from(Fiber& from) {
  entered_fiber = this;
  left_fiber = &from;
#if defined(LOCKSTEP_FIBER_ASAN)
  __sanitizer_start_switch_fiber(&from.fake_stack_, stack_bottom_, stack_bytes_);
#endif
#if defined(LOCKSTEP_FIBER_UCONTEXT)
  swapcontext(&from.machine_->context, &machine_->context);
#else
  lockstep_fiber_switch(&from.machine_->stack_pointer, machine_->stack_pointer);
#endif
#if defined(LOCKSTEP_FIBER_ASAN)
  // `from` runs again; the bounds of a thread's own stack are learnt when it is left first.
  __sanitizer_finish_switch_fiber(from.fake_stack_, &left_fiber->stack_bottom_,
                                  &left_fiber->stack_bytes_);
#endif
}

}  // namespace lockstep::emulator
