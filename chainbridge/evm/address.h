// Accounts and contracts of an Ethereum chain, and their text with a checksum (EIP-55).
#pragma once

#include <array>
#include <compare>
#include <cstdint>
#include <string>
#include <string_view>

#include "base/bytes.h"
#include "base/digest.h"
#include "base/result.h"

namespace lockstep {

struct Address {
  std::array<std::uint8_t, 20> bytes{};

  auto operator<=>(const Address&) const = default;
  ByteView view() const { return bytes; }
  bool is_zero() const { return *this == Address{}; }

  // Left-padded to a word, and back: kInvalidArgument when the padding is not zero.
  Digest word() const;
  static Result<Address> of_word(const Digest& word);

  // "0x" and 40 digits with the checksum in their case.
  std::string text() const;
  // Digits of one case, or of both with the right checksum. kInvalidArgument otherwise.
  static Result<Address> of_text(std::string_view text);
};

}  // namespace lockstep
