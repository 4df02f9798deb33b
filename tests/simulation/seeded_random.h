// All chance in a simulated world: integer arithmetic on one seeded generator, so that a seed gives
// the same world with every compiler. Draw once per statement: the order of arguments is not fixed.
#pragma once

#include <cstdint>
#include <random>
#include <span>

#include "base/random.h"

namespace lockstep::simulation {

class SeededRandom final : public Random {
 public:
  explicit SeededRandom(std::uint64_t seed) : generator_(seed) {}

  // In [0, count). Requires: count > 0.
  std::uint64_t below(std::uint64_t count) { return generator_() % count; }
  // In [low, high].
  std::int64_t between(std::int64_t low, std::int64_t high) {
    return low + static_cast<std::int64_t>(below(static_cast<std::uint64_t>(high - low) + 1));
  }
  bool chance(std::uint32_t per_mille) { return below(1000) < per_mille; }

  void fill(std::span<std::uint8_t> out) override {
    for (std::uint8_t& byte : out) byte = static_cast<std::uint8_t>(generator_());
  }

 private:
  std::mt19937_64 generator_;
};

}  // namespace lockstep::simulation
