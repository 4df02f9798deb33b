// exp as numerics defines it: at most 1.05 ulp, non-decreasing, exp(0) = 1, the same bits
// everywhere.
#pragma once

namespace lockstep::kernels {

float canonical_exp(float x);

}  // namespace lockstep::kernels
