#include "base/bytes.h"

namespace lockstep {
namespace {

int digit_value(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  return -1;
}

}  // namespace

std::string to_hex(ByteView bytes) {
  static constexpr char kDigits[] = "0123456789abcdef";
  std::string text;
  text.reserve(2 * bytes.size());
  for (const std::uint8_t byte : bytes) {
    text.push_back(kDigits[byte >> 4]);
    text.push_back(kDigits[byte & 15]);
  }
  return text;
}

Result<Bytes> from_hex(std::string_view text) {
  const std::size_t begin = text.starts_with("0x") ? 2 : 0;
  if (text.size() % 2 != 0) {
    return Error{ErrorCode::kInvalidArgument, "hexadecimal text of odd length"};
  }
  Bytes bytes;
  bytes.reserve(text.size() / 2);
  for (std::size_t i = begin; i < text.size(); i += 2) {
    const int high = digit_value(text[i]);
    const int low = digit_value(text[i + 1]);
    if (high < 0 || low < 0) {
      return Error{ErrorCode::kInvalidArgument,
                   "no hexadecimal digit at character " + std::to_string(high < 0 ? i : i + 1)};
    }
    bytes.push_back(static_cast<std::uint8_t>(high * 16 + low));
  }
  return bytes;
}

}  // namespace lockstep
