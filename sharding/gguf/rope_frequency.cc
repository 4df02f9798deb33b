#include "sharding/gguf/rope_frequency.h"

#include <cmath>
#include <string>

#include "base/check.h"

namespace lockstep {
namespace {

// binary128: 113 bits, 60 more than the result needs. Only + - * / are used; each is correctly
// rounded.
__extension__ using Quad = __float128;

Quad power(Quad value, int exponent) {
  Quad out = 1;
  for (; exponent > 0; exponent >>= 1) {
    if (exponent & 1) out *= value;
    value *= value;
  }
  return out;
}

// base^(1/n). Newton's iteration on x^n = base from the binary64 root, whose error is below n *
// 2^-50: each round squares it, so three leave only rounding errors.
Quad root(Quad base, int n) {
  Quad x = std::pow(static_cast<double>(base), 1.0 / n);
  for (int round = 0; round < 3; ++round) x += x * (base / power(x, n) - 1) / n;
  return x;
}

}  // namespace

Result<std::vector<double>> rope_frequencies(double base, int rotary_dims,
                                             std::span<const float> factors) {
  CHECK(rotary_dims > 0 && rotary_dims % 2 == 0, "rotary dimensions come in pairs");
  const int half = rotary_dims / 2;
  CHECK(factors.empty() || factors.size() == static_cast<std::size_t>(half),
        "one factor for each pair");
  if (!std::isfinite(base) || base < 1 || base > 1e30) {
    return Error{ErrorCode::kInvalidArgument, "RoPE base is not in [1, 1e30]"};
  }
  // f_i = (base^(1/half))^-i / factor_i. The relative error of the power grows to about i * n *
  // 2^-113 with i, n <= 256: far below the distance at which rounding to binary64 could differ in
  // practice, and never at a tie, because no f_i is a 54-bit number unless it is a power of two
  // (base and factors are dyadic).
  const Quad step = root(base, half);
  std::vector<double> frequencies;
  for (int i = 0; i < half; ++i) {
    const float factor = factors.empty() ? 1.0F : factors[static_cast<std::size_t>(i)];
    if (!(factor > 0) || !std::isfinite(factor)) {
      return Error{ErrorCode::kInvalidArgument,
                   "RoPE factor " + std::to_string(i) + " is not positive and finite"};
    }
    const auto frequency = static_cast<double>(1 / (power(step, i) * Quad{factor}));
    if (!(frequency >= 0x1p-100 && frequency <= 0x1p16)) {
      return Error{ErrorCode::kInvalidArgument,
                   "RoPE frequency " + std::to_string(i) + " is not in [2^-100, 2^16]"};
    }
    frequencies.push_back(frequency);
  }
  return frequencies;
}

}  // namespace lockstep
