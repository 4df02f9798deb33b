// Unsigned 256-bit integers: what the EVM counts in. Arithmetic that does not fit says so.
#pragma once

#include <array>
#include <compare>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "base/bytes.h"
#include "base/digest.h"
#include "base/result.h"

namespace lockstep {

struct Uint256 {
  std::array<std::uint64_t, 4> limbs{};  // The least significant first.

  constexpr Uint256() = default;
  constexpr Uint256(std::uint64_t value) : limbs{value, 0, 0, 0} {}

  constexpr bool operator==(const Uint256&) const = default;
  std::strong_ordering operator<=>(const Uint256& other) const;

  bool is_zero() const { return *this == Uint256{}; }
  int num_bits() const;  // Up to the highest one; 0 for zero.
  // Nothing when it does not fit.
  std::optional<std::uint64_t> u64() const;

  // The big-endian word of 32 bytes, and back.
  Digest word() const;
  static Uint256 of_word(const Digest& word);
  // Big-endian without leading zeros; empty for zero.
  Bytes minimal_bytes() const;
  // kInvalidArgument beyond 32 bytes. Leading zeros are accepted.
  static Result<Uint256> of_bytes(ByteView bytes);

  // JSON-RPC's quantity: "0x" and hexadecimal digits without leading zeros, "0x0" for zero.
  std::string quantity() const;
  static Result<Uint256> of_quantity(std::string_view text);
  std::string decimal() const;
  static Result<Uint256> of_decimal(std::string_view text);
};

// Nothing when the result does not fit, or is negative.
std::optional<Uint256> checked_add(const Uint256& a, const Uint256& b);
std::optional<Uint256> checked_sub(const Uint256& a, const Uint256& b);
std::optional<Uint256> checked_mul(const Uint256& a, const Uint256& b);

struct Quotient;
// Requires: divisor > 0.
Quotient divide(const Uint256& value, std::uint64_t divisor);

struct Quotient {
  Uint256 value;
  std::uint64_t remainder = 0;
};

}  // namespace lockstep
