#include <cstddef>

#include "kernels/avx2/avx2.h"
#include "kernels/avx2/vector.h"

namespace lockstep::kernels::avx2 {
namespace {

// The 64 lanes are eight vectors. A lane that has no element in the last turn adds the square of 0,
// which changes nothing.
float sum_of_squares(const float* x, int n) {
  __m256 lanes[8] = {};
  int i = 0;
  for (; i + 64 <= n; i += 64) {
#pragma GCC unroll 8
    for (int j = 0; j < 8; ++j) {
      const __m256 v = _mm256_loadu_ps(x + i + kWidth * j);
      lanes[j] = _mm256_fmadd_ps(v, v, lanes[j]);
    }
  }
#pragma GCC unroll 8
  for (int j = 0; j < 8; ++j) {
    const int left = n - i - kWidth * j;
    if (left > 0) {
      const __m256 v = _mm256_maskload_ps(x + i + kWidth * j, first_lanes(left));
      lanes[j] = _mm256_fmadd_ps(v, v, lanes[j]);
    }
  }
  return tree_sum(lanes);
}

}  // namespace

void rms_norm(const RmsNormArgs& args) {
  for (int t = 0; t < args.num_tokens; ++t) {
    const float* x = args.input + static_cast<std::ptrdiff_t>(t) * args.dim;
    float* output = args.output + static_cast<std::ptrdiff_t>(t) * args.dim;
    const float mean = sum_of_squares(x, args.dim) / static_cast<float>(args.dim);
    const float inverse = 1.0f / __builtin_sqrtf(mean + args.epsilon);
    int i = 0;
    for (; i + kWidth <= args.dim; i += kWidth) {
      const __m256 v = _mm256_mul_ps(_mm256_loadu_ps(x + i), _mm256_set1_ps(inverse));
      _mm256_storeu_ps(output + i, _mm256_mul_ps(v, _mm256_loadu_ps(args.weight + i)));
    }
    for (; i < args.dim; ++i) output[i] = x[i] * inverse * args.weight[i];
  }
}

}  // namespace lockstep::kernels::avx2
