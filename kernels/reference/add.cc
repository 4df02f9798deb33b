#include <cstddef>

#include "kernels/reference/reference.h"

namespace lockstep::kernels::reference {

void add(const AddArgs& args) {
  for (int t = 0; t < args.num_tokens; ++t) {
    float* target = args.target + static_cast<std::ptrdiff_t>(t) * args.dim;
    const float* addend = args.addend + static_cast<std::ptrdiff_t>(t) * args.addend_stride;
    for (int i = 0; i < args.dim; ++i) target[i] = target[i] + addend[i];
  }
}

}  // namespace lockstep::kernels::reference
