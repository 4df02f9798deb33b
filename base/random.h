// Unpredictable bytes, passed in: pure code has no random source of its own. (Draws of tokens are
// philox.h.)
#pragma once

#include <cstdint>
#include <span>

namespace lockstep {

class Random {
 public:
  virtual ~Random() = default;
  virtual void fill(std::span<std::uint8_t> out) = 0;
};

// The operating system's. Thread-safe; lives as long as the process.
Random& system_random();

}  // namespace lockstep
