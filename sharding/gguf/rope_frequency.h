// The frequencies of RoPE, correctly rounded: f_i = base^(-2i/d) / factor_i. Source: numerics, "The
// rest of a layer".
#pragma once

#include <span>
#include <vector>

#include "base/result.h"

namespace lockstep {

// d / 2 frequencies. `factors` is empty (all 1) or has d / 2 elements. Requires: rotary_dims even
// and positive. kInvalidArgument when base or a factor is not positive and finite, or a frequency
// leaves [2^-100, 2^16].
Result<std::vector<double>> rope_frequencies(double base, int rotary_dims,
                                             std::span<const float> factors);

}  // namespace lockstep
