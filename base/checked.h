// Integer arithmetic that cannot overflow unseen.
#pragma once

#include <concepts>
#include <limits>
#include <optional>
#include <utility>

#include "base/check.h"

namespace lockstep {

// The product or sum, or nothing when it does not fit into T.
template <std::integral T>
constexpr std::optional<T> checked_mul(T a, T b) {
  T out{};
  if (__builtin_mul_overflow(a, b, &out)) return std::nullopt;
  return out;
}

template <std::integral T>
constexpr std::optional<T> checked_add(T a, T b) {
  T out{};
  if (__builtin_add_overflow(a, b, &out)) return std::nullopt;
  return out;
}

// `value` as a To. CHECKs that it fits: for values that the program has bounded itself.
template <std::integral To, std::integral From>
constexpr To narrow(From value) {
  CHECK(std::in_range<To>(value), "integer does not fit the narrower type");
  return static_cast<To>(value);
}

// Requires: value >= 0, divisor > 0.
template <std::integral T>
constexpr T ceil_div(T value, T divisor) {
  return value / divisor + (value % divisor != 0 ? 1 : 0);
}

// The smallest multiple of `unit` that is at least `value`.
template <std::integral T>
constexpr T round_up(T value, T unit) {
  return ceil_div(value, unit) * unit;
}

}  // namespace lockstep
