// binary16, exactly: widening, and rounding to nearest even.
#pragma once

#include <bit>
#include <cstdint>

namespace lockstep {

constexpr bool half_is_finite(std::uint16_t half) { return (half & 0x7C00U) != 0x7C00U; }

constexpr float half_to_float(std::uint16_t half) {
  const std::uint32_t sign = std::uint32_t{half & 0x8000U} << 16;
  const std::uint32_t exponent = (half >> 10) & 31U;
  const std::uint32_t fraction = half & 0x3FFU;
  if (exponent == 31) return std::bit_cast<float>(sign | 0x7F800000U | (fraction << 13));
  if (exponent != 0) {
    return std::bit_cast<float>(sign | ((exponent + 112) << 23) | (fraction << 13));
  }
  const float magnitude = static_cast<float>(fraction) * 0x1p-24F;  // Exact.
  return std::bit_cast<float>(sign | std::bit_cast<std::uint32_t>(magnitude));
}

// Infinity when the value rounds beyond 65504. Requires: not NaN.
constexpr std::uint16_t float_to_half(float value) {
  const auto bits = std::bit_cast<std::uint32_t>(value);
  const auto sign = static_cast<std::uint16_t>((bits >> 16) & 0x8000U);
  const std::uint32_t magnitude = bits & 0x7FFFFFFFU;
  if (magnitude >= 0x47800000U) return sign | 0x7C00U;  // From 65536 on.
  if (magnitude < 0x38800000U) {
    // Below 2^-14 the unit is 2^-24: adding 0.5 puts the bits of the result at the end of the
    // fraction, rounded by the addition itself.
    const float shifted = std::bit_cast<float>(magnitude) + 0.5F;
    return static_cast<std::uint16_t>(sign | (std::bit_cast<std::uint32_t>(shifted) - 0x3F000000U));
  }
  const std::uint32_t odd = (magnitude >> 13) & 1U;
  const std::uint32_t rounded = magnitude + 0xFFFU + odd - (112U << 23);
  return static_cast<std::uint16_t>(sign | (rounded >> 13));
}

}  // namespace lockstep
