// The linear kernel of kernels/avx512vnni over vectors in plain C++, for processors without its
// instructions.
#pragma once

#include "kernels/ops.h"

namespace lockstep::kernels {

void emulated_linear(const LinearArgs& args);

}  // namespace lockstep::kernels
