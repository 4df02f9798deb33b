#include <cstddef>

#include "kernels/reference/reference.h"

namespace lockstep::kernels::reference {

void rope(const RopeArgs& args) {
  const int num_pairs = args.rotary_dims / 2;
  for (int t = 0; t < args.num_tokens; ++t) {
    const float* cosines = args.cosines + static_cast<std::ptrdiff_t>(t) * num_pairs;
    const float* sines = args.sines + static_cast<std::ptrdiff_t>(t) * num_pairs;
    for (int h = 0; h < args.num_heads; ++h) {
      float* head = args.vectors + static_cast<std::ptrdiff_t>(t) * args.stride +
                    static_cast<std::ptrdiff_t>(h) * args.head_size;
      for (int i = 0; i < num_pairs; ++i) {
        const float a = head[2 * i];
        const float b = head[2 * i + 1];
        head[2 * i] = __builtin_fmaf(a, cosines[i], -(b * sines[i]));
        head[2 * i + 1] = __builtin_fmaf(a, sines[i], b * cosines[i]);
      }
    }
  }
}

}  // namespace lockstep::kernels::reference
