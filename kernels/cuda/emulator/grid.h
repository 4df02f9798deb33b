// A grid of thread blocks on a few threads of the host, to the end: a launch on the emulated device
// is synchronous.
#pragma once

#include <cstdint>
#include <string>

#include "kernels/cuda/emulator/block.h"

namespace lockstep::emulator {

struct Options {
  std::uint64_t seed = 1;  // Of the schedule of every block, and of the order of blocks.
  int host_threads = 1;
};

// For the launches that follow. Requires: no launch is running.
void set_options(const Options& options);

enum class LaunchResult : std::uint8_t {
  kDone,
  kRefused,  // A shape that no device of compute capability 9.0 takes.
  kFailed,   // See take_failure().
};

// Runs body(argument) on all threads of the grid (its block index and seed are the launch's). The
// first failure ends the launch.
LaunchResult run_grid(const BlockShape& wanted, void (*body)(const void*), const void* argument);

// What the last launch that failed died of. Empty: none has, since the last call.
std::string take_failure();

}  // namespace lockstep::emulator
