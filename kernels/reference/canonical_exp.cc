#include "kernels/canonical_exp.h"

#include <bit>
#include <cstdint>
#include <initializer_list>
#include <limits>

namespace lockstep::kernels {
namespace {

// 2^n for n in [-126, 127].
float power_of_two(int n) {
  return std::bit_cast<float>(static_cast<std::uint32_t>(n + 127) << 23);
}

}  // namespace

float canonical_exp(float x) {
  if (x != x) return x;
  if (x < -104.0f) return 0.0f;
  if (x > 88.8f) return std::numeric_limits<float>::infinity();
  const float n = __builtin_rintf(x * 0x1.715476p+0f);
  float r = __builtin_fmaf(n, -0x1.62e4p-1f, x);
  r = __builtin_fmaf(n, -0x1.7f7d1cp-20f, r);
  float q = 0x1.a01a02p-13f;
  for (const float c : {0x1.6c16c2p-10f, 0x1.111112p-7f, 0x1.555556p-5f, 0x1.555556p-3f, 0.5f}) {
    q = __builtin_fmaf(q, r, c);
  }
  const float p = __builtin_fmaf(r * r, q, r) + 1.0f;
  const int whole = static_cast<int>(n);
  const int a = whole >> 1;  // floor(n / 2)
  return (p * power_of_two(a)) * power_of_two(whole - a);
}

}  // namespace lockstep::kernels
