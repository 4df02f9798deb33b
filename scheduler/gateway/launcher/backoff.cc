#include "scheduler/gateway/launcher/backoff.h"

#include <algorithm>
#include <array>

#include "base/bytes.h"

namespace lockstep {

std::int64_t Backoff::next_ms(std::int64_t lived_ms, Random& random) {
  const bool anew = wait_ms_ == 0 || lived_ms >= config_.healthy_ms;
  wait_ms_ = anew ? config_.first_ms : std::min(2 * wait_ms_, config_.longest_ms);
  std::array<std::uint8_t, 4> draw{};
  random.fill(draw);
  const std::int64_t half = wait_ms_ / 2;
  return wait_ms_ - (half * load_le<std::uint32_t>(draw.data()) >> 32);
}

}  // namespace lockstep
