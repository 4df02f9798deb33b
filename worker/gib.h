// Sizes of memory, for people.
#pragma once

#include <cstdint>
#include <string>

namespace lockstep {

// "7.4 GiB", rounded down.
inline std::string gib(std::uint64_t bytes) {
  const std::uint64_t tenths = bytes / ((std::uint64_t{1} << 30) / 10);
  return std::to_string(tenths / 10) + "." + std::to_string(tenths % 10) + " GiB";
}

}  // namespace lockstep
