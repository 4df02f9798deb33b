#include "chainbridge/evm/address.h"

#include <algorithm>
#include <cctype>

namespace lockstep {
namespace {

constexpr std::size_t kPadding = 12;

bool has(std::string_view text, int (*is_kind)(int)) {
  return std::ranges::any_of(text, [is_kind](unsigned char c) { return is_kind(c) != 0; });
}

}  // namespace

Digest Address::word() const {
  Digest word;
  std::ranges::copy(bytes, word.bytes.begin() + kPadding);
  return word;
}

Result<Address> Address::of_word(const Digest& word) {
  const auto zeros = word.view().first(kPadding);
  if (std::ranges::any_of(zeros, [](std::uint8_t byte) { return byte != 0; })) {
    return Error{ErrorCode::kInvalidArgument, "an address has 20 bytes, got 0x" + word.hex()};
  }
  Address address;
  std::ranges::copy(word.view().subspan(kPadding), address.bytes.begin());
  return address;
}

std::string Address::text() const {
  std::string digits = to_hex(bytes);
  const std::string hash = keccak256(digits).hex();
  for (std::size_t i = 0; i < digits.size(); ++i) {
    if (hash[i] >= '8') digits[i] = static_cast<char>(std::toupper(digits[i]));
  }
  return "0x" + digits;
}

Result<Address> Address::of_text(std::string_view text) {
  Address address;
  const Result<Bytes> bytes = from_hex(text);
  if (!text.starts_with("0x") || !bytes.ok() || bytes.value().size() != address.bytes.size()) {
    return Error{ErrorCode::kInvalidArgument, "expected an address, 0x and 40 digits, got \"" +
                                                  std::string(text.substr(0, 80)) + "\""};
  }
  std::ranges::copy(bytes.value(), address.bytes.begin());
  const std::string_view digits = text.substr(2);
  if (has(digits, std::isupper) && has(digits, std::islower) && text != address.text()) {
    return Error{ErrorCode::kInvalidArgument,
                 std::string(text) + ": the checksum is wrong: a character was mistyped"};
  }
  return address;
}

}  // namespace lockstep
