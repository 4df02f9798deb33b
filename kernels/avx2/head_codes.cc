#include "kernels/avx2/head_codes.h"

#include "kernels/avx2/vector.h"
#include "kernels/ops.h"
#include "kernels/reference/primitives.h"

namespace lockstep::kernels::avx2 {
namespace {

// Butterflies (a + b, a - b) of neighbours at `stride` 1, 2 or 4 within a vector: `swapped` has
// them exchanged, so that a lane that holds b finds a there.
template <int kStride>
__m256 butterflies(__m256 v) {
  const __m256 swapped = kStride == 1   ? _mm256_permute_ps(v, 0xb1)
                         : kStride == 2 ? _mm256_permute_ps(v, 0x4e)
                                        : _mm256_permute2f128_ps(v, v, 1);
  constexpr int kSecond = kStride == 1 ? 0xaa : kStride == 2 ? 0xcc : 0xf0;
  return _mm256_blend_ps(_mm256_add_ps(v, swapped), _mm256_sub_ps(swapped, v), kSecond);
}

// reference::rotate for sizes that are a multiple of 16, whose blocks are at least two vectors.
void rotate_head(float* v, int n) {
  for (int i = 0; i < n; i += kWidth) {
    const __m256 a = butterflies<2>(butterflies<1>(_mm256_loadu_ps(v + i)));
    _mm256_storeu_ps(v + i, butterflies<4>(a));
  }
  const int block = reference::rotation_block(n);
  for (int stride = kWidth; stride < block; stride *= 2) {
    for (int start = 0; start < n; start += 2 * stride) {
      for (int i = start; i < start + stride; i += kWidth) {
        const __m256 a = _mm256_loadu_ps(v + i);
        const __m256 b = _mm256_loadu_ps(v + i + stride);
        _mm256_storeu_ps(v + i, _mm256_add_ps(a, b));
        _mm256_storeu_ps(v + i + stride, _mm256_sub_ps(a, b));
      }
    }
  }
}

void store_sixteen(__m256i first, __m256i second, std::int16_t* codes) {
  const __m256i packed = _mm256_permute4x64_epi64(_mm256_packs_epi32(first, second), 0xd8);
  _mm256_storeu_si256(reinterpret_cast<__m256i*>(codes), packed);
}

}  // namespace

bool store_head(const HeadCodes& from, std::int16_t* codes, float* scale) {
  const int limit = from.kv_bits == 16 ? 2047 : 127;
  const float* v = from.head;
  float rotated[kMaxHeadSize];
  if (from.rotated && from.kv_bits == 8) {
    for (int i = 0; i < from.head_size; ++i) rotated[i] = v[i];
    rotate_head(rotated, from.head_size);
    v = rotated;
  }
  __m256i largest = _mm256_setzero_si256();
  for (int i = 0; i < from.head_size; i += kWidth) {
    largest = larger_magnitude(largest, _mm256_loadu_ps(v + i));
  }
  float inverse;
  if (!scale_of(largest, static_cast<float>(limit), scale, &inverse)) return false;
  const __m256 factor = _mm256_set1_ps(inverse);
  const __m256i limits = _mm256_set1_epi32(limit);
  for (int i = 0; i < from.head_size; i += 2 * kWidth) {
    store_sixteen(codes_of(_mm256_loadu_ps(v + i), factor, limits),
                  codes_of(_mm256_loadu_ps(v + i + kWidth), factor, limits), codes + i);
  }
  return true;
}

}  // namespace lockstep::kernels::avx2
