#include <cstddef>

#include "kernels/avx2/avx2.h"
#include "kernels/avx2/vector.h"

namespace lockstep::kernels::avx2 {

void swiglu(const SwigluArgs& args) {
  const __m256 one = _mm256_set1_ps(1.0f);
  const __m256 sign = _mm256_set1_ps(-0.0f);
  for (int t = 0; t < args.num_tokens; ++t) {
    const std::ptrdiff_t input = static_cast<std::ptrdiff_t>(t) * args.input_stride;
    float* output = args.output + static_cast<std::ptrdiff_t>(t) * args.output_stride;
    for (int i = 0; i < args.width; i += kWidth) {
      const std::ptrdiff_t place = input + i / kPanelRows * args.panel_stride + i % kPanelRows;
      const __m256 g = _mm256_loadu_ps(args.gate + place);
      const __m256 u = _mm256_loadu_ps(args.up + place);
      const __m256 denominator = _mm256_add_ps(one, exp(_mm256_xor_ps(g, sign)));
      _mm256_storeu_ps(output + i, _mm256_mul_ps(_mm256_div_ps(g, denominator), u));
    }
  }
}

}  // namespace lockstep::kernels::avx2
