#include "tests/kernels/emulated_linear_support.h"

#include "kernels/avx512vnni/linear_kernel.h"
#include "tests/kernels/emulated_vector.h"

namespace lockstep::kernels {

void emulated_linear(const LinearArgs& args) {
  avx512vnni::LinearKernel<EmulatedVector>::run(args);
}

}  // namespace lockstep::kernels
