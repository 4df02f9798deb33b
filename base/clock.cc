#include "base/clock.h"

#include <ctime>

namespace lockstep {
namespace {

class SystemClock final : public Clock {
 public:
  std::int64_t monotonic_ns() const override { return read_ns(CLOCK_MONOTONIC); }
  std::int64_t unix_ms() const override { return read_ns(CLOCK_REALTIME) / 1'000'000; }

 private:
  static std::int64_t read_ns(clockid_t clock) {
    timespec now{};
    ::clock_gettime(clock, &now);  // Cannot fail for these two clocks.
    return std::int64_t{now.tv_sec} * 1'000'000'000 + now.tv_nsec;
  }
};

}  // namespace

const Clock& system_clock() {
  static const SystemClock clock;
  return clock;
}

}  // namespace lockstep
