#include "kernels/canonical_exp.h"

#include <gtest/gtest.h>

#include <bit>
#include <cmath>
#include <cstdint>
#include <limits>

#include "tests/kernels/kernel_support.h"

namespace lockstep::kernels {
namespace {

constexpr float kInfinity = std::numeric_limits<float>::infinity();

// The distance of `y` from exp(x) in units of the last place of a binary32 there.
double error_ulp(float x, float y) {
  const double exact = std::exp(static_cast<double>(x));  // Wrong by less than 1e-8 of such a unit.
  const int exponent = std::max(std::ilogb(exact), -126);
  return std::fabs(static_cast<double>(y) - exact) / std::ldexp(1.0, exponent - 23);
}

TEST(CanonicalExp, OfZeroIsOne) {
  EXPECT_EQ(canonical_exp(0.0f), 1.0f);
  EXPECT_EQ(canonical_exp(-0.0f), 1.0f);
}

TEST(CanonicalExp, HasLimits) {
  EXPECT_EQ(canonical_exp(-kInfinity), 0.0f);
  EXPECT_EQ(canonical_exp(std::nextafter(-104.0f, -200.0f)), 0.0f);
  EXPECT_FALSE(std::signbit(canonical_exp(-200.0f)));
  EXPECT_EQ(canonical_exp(kInfinity), kInfinity);
  EXPECT_EQ(canonical_exp(std::nextafter(88.8f, 100.0f)), kInfinity);
  EXPECT_TRUE(std::isfinite(canonical_exp(88.72283f)));  // ln of the largest binary32.
  EXPECT_TRUE(std::isnan(canonical_exp(std::numeric_limits<float>::quiet_NaN())));
}

TEST(CanonicalExp, KeepsSubnormals) {
  EXPECT_EQ(canonical_exp(-103.0f), 0x1p-149f);
  EXPECT_EQ(std::fpclassify(canonical_exp(-90.0f)), FP_SUBNORMAL);
}

// Walks over numbers of one sign in increasing magnitude, every `step`-th; a long run takes all.
void walk(float sign, float limit, std::uint32_t step) {
  double worst = 0;
  float last = 1.0f;
  const std::uint32_t end = std::bit_cast<std::uint32_t>(limit);
  for (std::uint32_t bits = 0; bits < end; bits += step) {
    const float x = std::copysign(std::bit_cast<float>(bits), sign);
    const float y = canonical_exp(x);
    if (sign > 0 ? y < last : y > last) {
      FAIL() << "decreases at " << x;
    }
    last = y;
    if (std::isfinite(y)) worst = std::max(worst, error_ulp(x, y));
  }
  EXPECT_LE(worst, 1.05);
  EXPECT_GT(worst, 0.5);  // The measure measures something.
}

TEST(CanonicalExp, IsMonotoneAndAccurate) {
  const auto step = static_cast<std::uint32_t>(std::max(1, 5003 / num_cases(1)));
  walk(1.0f, 88.72f, step);
  walk(-1.0f, 104.0f, step);
}

}  // namespace
}  // namespace lockstep::kernels
