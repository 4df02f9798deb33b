#include <cstddef>

#include "kernels/canonical_exp.h"
#include "kernels/reference/reference.h"

namespace lockstep::kernels::reference {

void swiglu(const SwigluArgs& args) {
  for (int t = 0; t < args.num_tokens; ++t) {
    const std::ptrdiff_t input = static_cast<std::ptrdiff_t>(t) * args.input_stride;
    float* output = args.output + static_cast<std::ptrdiff_t>(t) * args.output_stride;
    for (int i = 0; i < args.width; ++i) {
      const std::ptrdiff_t place = input + i / kPanelRows * args.panel_stride + i % kPanelRows;
      const float g = args.gate[place];
      output[i] = (g / (1.0f + canonical_exp(-g))) * args.up[place];
    }
  }
}

}  // namespace lockstep::kernels::reference
