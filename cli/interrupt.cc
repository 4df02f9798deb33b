#include "cli/interrupt.h"

#include <csignal>

namespace lockstep {
namespace {

std::atomic<bool> interrupt_requested = false;
static_assert(std::atomic<bool>::is_always_lock_free, "a signal handler may not lock");

void on_signal(int /*signal*/) { interrupt_requested.store(true); }

void set_action_of(int signal, void (*handler)(int)) {
  struct sigaction action {};
  action.sa_handler = handler;
  action.sa_flags = handler == SIG_DFL ? 0 : static_cast<int>(SA_RESETHAND | SA_RESTART);
  (void)sigaction(signal, &action, nullptr);
}

}  // namespace

Interrupt::Interrupt(InterruptSignals signals) {
  interrupt_requested.store(false);
  if (signals == InterruptSignals::kService) set_action_of(SIGUSR1, on_signal);
  set_action_of(SIGINT, on_signal);
  set_action_of(SIGTERM, on_signal);
}

Interrupt::~Interrupt() {
  set_action_of(SIGINT, SIG_DFL);
  set_action_of(SIGTERM, SIG_DFL);
  set_action_of(SIGUSR1, SIG_DFL);
}

const std::atomic<bool>& Interrupt::requested() { return interrupt_requested; }

}  // namespace lockstep
