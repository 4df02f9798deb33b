// Ctrl-C as a flag: the first SIGINT or SIGTERM asks, a second one kills. For services SIGUSR1,
// too: it is what mpirun passes on to its ranks and Slurm sends before the end.
#pragma once

#include <atomic>

namespace lockstep {

enum class InterruptSignals { kTerminal, kService };

// While it lives, SIGINT and SIGTERM (kService: SIGUSR1, too) set the flag instead of ending the
// process; after the first, the default action is back. One at a time in a process.
class Interrupt {
 public:
  explicit Interrupt(InterruptSignals signals = InterruptSignals::kTerminal);
  ~Interrupt();
  Interrupt(const Interrupt&) = delete;
  Interrupt& operator=(const Interrupt&) = delete;

  // True from the first signal on. Lives as long as the process.
  static const std::atomic<bool>& requested();
};

}  // namespace lockstep
