#include "chainbridge/evm/uint256.h"

#include <algorithm>
#include <bit>

namespace lockstep {
namespace {

__extension__ using Wide = unsigned __int128;

constexpr std::size_t kWordBytes = 32;

Error not_number(std::string_view expected, std::string_view text) {
  return {ErrorCode::kInvalidArgument, "expected " + std::string(expected) + ", got \"" +
                                           std::string(text.substr(0, 80)) + "\""};
}

}  // namespace

std::strong_ordering Uint256::operator<=>(const Uint256& other) const {
  return std::lexicographical_compare_three_way(limbs.rbegin(), limbs.rend(), other.limbs.rbegin(),
                                                other.limbs.rend());
}

int Uint256::num_bits() const {
  for (int i = 3; i >= 0; --i) {
    const std::uint64_t limb = limbs[static_cast<std::size_t>(i)];
    if (limb != 0) return 64 * i + static_cast<int>(std::bit_width(limb));
  }
  return 0;
}

std::optional<std::uint64_t> Uint256::u64() const {
  if (num_bits() > 64) return std::nullopt;
  return limbs[0];
}

Digest Uint256::word() const {
  Digest word;
  for (std::size_t i = 0; i < kWordBytes; ++i) {
    word.bytes[kWordBytes - 1 - i] = static_cast<std::uint8_t>(limbs[i / 8] >> (8 * (i % 8)));
  }
  return word;
}

Uint256 Uint256::of_word(const Digest& word) {
  Uint256 value;
  for (std::size_t i = 0; i < kWordBytes; ++i) {
    value.limbs[i / 8] |= std::uint64_t{word.bytes[kWordBytes - 1 - i]} << (8 * (i % 8));
  }
  return value;
}

Bytes Uint256::minimal_bytes() const {
  const Digest full = word();
  const auto first = std::ranges::find_if(full.bytes, [](std::uint8_t byte) { return byte != 0; });
  return {first, full.bytes.end()};
}

Result<Uint256> Uint256::of_bytes(ByteView bytes) {
  if (bytes.size() > kWordBytes) {
    return Error{ErrorCode::kInvalidArgument, "an integer of more than 32 bytes"};
  }
  Digest word;
  std::ranges::copy(bytes, word.bytes.end() - static_cast<std::ptrdiff_t>(bytes.size()));
  return of_word(word);
}

std::string Uint256::quantity() const {
  std::string digits = word().hex();
  digits.erase(0, std::min(digits.find_first_not_of('0'), digits.size() - 1));
  return "0x" + digits;
}

Result<Uint256> Uint256::of_quantity(std::string_view text) {
  constexpr std::string_view kExpected = "a quantity, 0x and digits without leading zeros";
  if (!text.starts_with("0x") || text.size() < 3 || text.size() > 2 + 2 * kWordBytes ||
      (text[2] == '0' && text.size() > 3)) {
    return not_number(kExpected, text);
  }
  std::string digits(text.substr(2));
  if (digits.size() % 2 != 0) digits.insert(0, 1, '0');
  const Result<Bytes> bytes = from_hex(digits);
  if (!bytes.ok() || digits[1] == 'x') return not_number(kExpected, text);
  return of_bytes(bytes.value());
}

std::string Uint256::decimal() const {
  std::string digits;
  Uint256 left = *this;
  do {
    const Quotient next = divide(left, 10);
    digits.push_back(static_cast<char>('0' + next.remainder));
    left = next.value;
  } while (!left.is_zero());
  return {digits.rbegin(), digits.rend()};
}

Result<Uint256> Uint256::of_decimal(std::string_view text) {
  constexpr std::string_view kExpected = "a decimal integer below 2^256";
  if (text.empty() || text.size() > 78) return not_number(kExpected, text);
  Uint256 value;
  for (const char c : text) {
    if (c < '0' || c > '9') return not_number(kExpected, text);
    const auto shifted = checked_mul(value, 10);
    const auto next =
        shifted ? checked_add(*shifted, static_cast<std::uint64_t>(c - '0')) : std::nullopt;
    if (!next) return not_number(kExpected, text);
    value = *next;
  }
  return value;
}

std::optional<Uint256> checked_add(const Uint256& a, const Uint256& b) {
  Uint256 sum;
  Wide carry = 0;
  for (std::size_t i = 0; i < 4; ++i) {
    carry += Wide{a.limbs[i]} + b.limbs[i];
    sum.limbs[i] = static_cast<std::uint64_t>(carry);
    carry >>= 64;
  }
  if (carry != 0) return std::nullopt;
  return sum;
}

std::optional<Uint256> checked_sub(const Uint256& a, const Uint256& b) {
  if (a < b) return std::nullopt;
  Uint256 difference;
  std::uint64_t borrow = 0;
  for (std::size_t i = 0; i < 4; ++i) {
    const Wide taken = Wide{b.limbs[i]} + borrow;
    difference.limbs[i] = static_cast<std::uint64_t>(a.limbs[i] - taken);
    borrow = a.limbs[i] < taken ? 1 : 0;
  }
  return difference;
}

std::optional<Uint256> checked_mul(const Uint256& a, const Uint256& b) {
  std::array<std::uint64_t, 8> product{};
  for (std::size_t i = 0; i < 4; ++i) {
    std::uint64_t carry = 0;
    for (std::size_t j = 0; j < 4; ++j) {
      const Wide sum = Wide{a.limbs[i]} * b.limbs[j] + product[i + j] + carry;
      product[i + j] = static_cast<std::uint64_t>(sum);
      carry = static_cast<std::uint64_t>(sum >> 64);
    }
    product[i + 4] = carry;
  }
  Uint256 low;
  std::copy_n(product.begin(), 4, low.limbs.begin());
  const bool fits =
      std::all_of(product.begin() + 4, product.end(), [](std::uint64_t limb) { return limb == 0; });
  if (!fits) return std::nullopt;
  return low;
}

Quotient divide(const Uint256& value, std::uint64_t divisor) {
  CHECK(divisor != 0, "division by zero");
  Quotient out;
  Wide remainder = 0;
  for (std::size_t i = 4; i-- > 0;) {
    remainder = (remainder << 64) | value.limbs[i];
    out.value.limbs[i] = static_cast<std::uint64_t>(remainder / divisor);
    remainder %= divisor;
  }
  out.remainder = static_cast<std::uint64_t>(remainder);
  return out;
}

}  // namespace lockstep
