// The operations that 512-bit vectors with integer dot products (VNNI) make faster than avx2/ does.
// Equal to reference/ on every input, bit by bit.
#pragma once

#include "kernels/ops.h"

namespace lockstep::kernels::avx512vnni {

void linear(const LinearArgs& args);

}  // namespace lockstep::kernels::avx512vnni
