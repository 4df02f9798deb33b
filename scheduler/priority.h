// Who goes first: the class of a request and the tenant that it is charged to.
#pragma once

#include <cstdint>

namespace lockstep {

// Smaller goes first; ageing lifts what has waited long (fair_queue.h).
enum class PriorityClass : std::uint8_t {
  kInteractive = 0,
  kNormal = 1,
  kBatch = 2,
};
inline constexpr int kNumPriorityClasses = 3;

// A tenant inside one process: an index that whoever knows the names gives out.
enum class TenantId : std::uint64_t {};

}  // namespace lockstep
