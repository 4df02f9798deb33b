// What this machine can do at best: reading memory, and multiplying bytes; and, at a look, what it
// can do at this moment.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "base/result.h"

namespace lockstep {

struct MachineOptions {
  std::string model;         // Its bytes are the buffer's, unless `bytes` says more.
  std::uint64_t bytes = 0;   // 0: the model's, or 256 MiB.
  std::vector<int> threads;  // Empty: 1 and all processors.
  int passes = 10;
  bool look = false;  // Only ask, in some 50 ms, whether the processors are free.
};

// Measures and prints; gives the exit status.
Result<int> run_machine(const MachineOptions& options, bool json);

}  // namespace lockstep
