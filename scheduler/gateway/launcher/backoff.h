// How long to wait before what failed is started again. Pure.
#pragma once

#include <cstdint>

#include "base/random.h"

namespace lockstep {

struct BackoffConfig {
  std::int64_t first_ms = 250;
  std::int64_t longest_ms = 30'000;
  std::int64_t healthy_ms = 60'000;  // What lived for this long begins with the first again.
};

class Backoff {
 public:
  explicit Backoff(const BackoffConfig& config) : config_(config) {}

  // The wait after a life of `lived_ms`: twice that of the time before, at most the longest; a
  // random part of up to half of it is taken off, so that many do not start at once.
  std::int64_t next_ms(std::int64_t lived_ms, Random& random);

 private:
  BackoffConfig config_;
  std::int64_t wait_ms_ = 0;  // 0: nothing failed yet.
};

}  // namespace lockstep
