// The activations of a linear as its inner loops read them, whatever the instruction set. Static,
// like all that is compiled with more than the baseline: no copy of it may serve the whole program.
#pragma once

#include <cstddef>
#include <cstdint>

#include "kernels/ops.h"

namespace lockstep::kernels {

// The activations of some consecutive tokens, as the inner loops read them.
struct InputTile {
  const std::int8_t* hi;  // Of the first token; null with 8 bits.
  const std::int8_t* lo;
  const float* scales;
  const std::int32_t* sums;
  std::ptrdiff_t k_padded;  // From one token's codes to the next's,
  std::ptrdiff_t groups;    // its sums,
  std::ptrdiff_t runs;      // its scales.
};

[[gnu::always_inline]] static inline InputTile tile_of(const Activations& input, int first_token) {
  const std::ptrdiff_t t = first_token;
  const std::ptrdiff_t runs = input.bits == 16 ? input.num_segments() : input.groups();
  return {input.bits == 16 ? input.hi + t * input.k_padded : nullptr,
          input.lo + t * input.k_padded,
          input.scales + t * runs,
          input.sums + t * input.groups(),
          input.k_padded,
          input.groups(),
          runs};
}

}  // namespace lockstep::kernels
