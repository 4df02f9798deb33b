#include <cstddef>

#include "kernels/reference/primitives.h"
#include "kernels/reference/reference.h"

namespace lockstep::kernels::reference {

void rms_norm(const RmsNormArgs& args) {
  for (int t = 0; t < args.num_tokens; ++t) {
    const float* x = args.input + static_cast<std::ptrdiff_t>(t) * args.dim;
    float* output = args.output + static_cast<std::ptrdiff_t>(t) * args.dim;
    const float mean = lane_sum_of_squares(x, args.dim) / static_cast<float>(args.dim);
    const float inverse = 1.0f / __builtin_sqrtf(mean + args.epsilon);
    for (int i = 0; i < args.dim; ++i) output[i] = x[i] * inverse * args.weight[i];
  }
}

}  // namespace lockstep::kernels::reference
