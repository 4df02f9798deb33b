// Philox4x32-10, a counter-based generator: the same key and counter give the same words on any
// machine. Source: Salmon et al. 2011, "Parallel random numbers: as easy as 1, 2, 3"; numerics,
// "Sampling".
#pragma once

#include <array>
#include <cstdint>

namespace lockstep {

std::array<std::uint32_t, 4> philox4x32_10(std::array<std::uint32_t, 2> key,
                                           std::array<std::uint32_t, 4> counter);

// The 64-bit draw of one completion token: words x1:x0 with key = seed and counter = (token_index,
// choice_index, 0, 0).
std::uint64_t token_draw(std::uint64_t seed, std::uint32_t token_index, std::uint32_t choice_index);

}  // namespace lockstep
