// The operations for processors with AVX2, FMA and F16C. Equal to reference/ on every input, bit by
// bit.
#pragma once

#include "kernels/ops.h"

namespace lockstep::kernels::avx2 {

void linear(const LinearArgs& args);

}  // namespace lockstep::kernels::avx2
