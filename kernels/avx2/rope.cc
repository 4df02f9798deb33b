#include <cstddef>

#include "kernels/avx2/avx2.h"
#include "kernels/avx2/vector.h"

namespace lockstep::kernels::avx2 {
namespace {

constexpr int kPairs = kWidth / 2;

// Rotates four neighbouring pairs (a, b). fmaddsub: a product minus in even lanes, plus in odd
// ones.
void rotate_pairs(float* pairs, const float* cosines, const float* sines) {
  const __m128 c = _mm_loadu_ps(cosines);
  const __m128 s = _mm_loadu_ps(sines);
  const __m256 cs = _mm256_set_m128(_mm_unpackhi_ps(c, s), _mm_unpacklo_ps(c, s));
  const __m256 sc = _mm256_permute_ps(cs, 0xb1);
  const __m256 v = _mm256_loadu_ps(pairs);
  const __m256 a = _mm256_moveldup_ps(v);
  const __m256 b = _mm256_movehdup_ps(v);
  _mm256_storeu_ps(pairs, _mm256_fmaddsub_ps(a, cs, _mm256_mul_ps(b, sc)));
}

}  // namespace

void rope(const RopeArgs& args) {
  const int num_pairs = args.rotary_dims / 2;
  for (int t = 0; t < args.num_tokens; ++t) {
    const float* cosines = args.cosines + static_cast<std::ptrdiff_t>(t) * num_pairs;
    const float* sines = args.sines + static_cast<std::ptrdiff_t>(t) * num_pairs;
    for (int h = 0; h < args.num_heads; ++h) {
      float* head = args.vectors + static_cast<std::ptrdiff_t>(t) * args.stride +
                    static_cast<std::ptrdiff_t>(h) * args.head_size;
      int i = 0;
      for (; i + kPairs <= num_pairs; i += kPairs)
        rotate_pairs(head + 2 * i, cosines + i, sines + i);
      for (; i < num_pairs; ++i) {
        const float a = head[2 * i];
        const float b = head[2 * i + 1];
        head[2 * i] = __builtin_fmaf(a, cosines[i], -(b * sines[i]));
        head[2 * i + 1] = __builtin_fmaf(a, sines[i], b * cosines[i]);
      }
    }
  }
}

}  // namespace lockstep::kernels::avx2
