// Ctrl-C as a flag: the first SIGINT or SIGTERM asks, a second one kills.
#pragma once

#include <atomic>

namespace lockstep {

// While it lives, SIGINT and SIGTERM set the flag instead of ending the process; after the first,
// the default action is back. One at a time in a process.
class Interrupt {
 public:
  Interrupt();
  ~Interrupt();
  Interrupt(const Interrupt&) = delete;
  Interrupt& operator=(const Interrupt&) = delete;

  // True from the first signal on. Lives as long as the process.
  static const std::atomic<bool>& requested();
};

}  // namespace lockstep
