// Time, passed in: pure code never asks the machine.
#pragma once

#include <cstdint>

namespace lockstep {

class Clock {
 public:
  virtual ~Clock() = default;
  virtual std::int64_t monotonic_ns() const = 0;  // Since an arbitrary moment; never goes back.
  virtual std::int64_t unix_ms() const = 0;       // Since 1970.

  std::int64_t unix_seconds() const { return unix_ms() / 1000; }
};

// The machine's clock. Thread-safe; lives as long as the process.
const Clock& system_clock();

}  // namespace lockstep
