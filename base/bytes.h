// Byte sequences, little-endian fields and hexadecimal text.
#pragma once

#include <cstdint>
#include <cstring>
#include <span>
#include <string>
#include <string_view>
#include <type_traits>
#include <vector>

#include "base/result.h"

namespace lockstep {

using Bytes = std::vector<std::uint8_t>;
using ByteView = std::span<const std::uint8_t>;

inline ByteView as_bytes(std::string_view text) {
  return {reinterpret_cast<const std::uint8_t*>(text.data()), text.size()};
}

inline std::string_view as_text(ByteView bytes) {
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

// The value stored little-endian at `data` (the machine is little-endian; no alignment is needed).
template <typename T>
  requires std::is_trivially_copyable_v<T>
T load_le(const void* data) {
  T value;
  std::memcpy(&value, data, sizeof value);
  return value;
}

template <typename T>
  requires std::is_trivially_copyable_v<T>
void append_le(Bytes& out, T value) {
  const std::size_t end = out.size();
  out.resize(end + sizeof value);
  std::memcpy(out.data() + end, &value, sizeof value);
}

// Lower-case hexadecimal, two digits a byte.
std::string to_hex(ByteView bytes);

// kInvalidArgument when `text` has an odd length or a character that is no hexadecimal digit. A
// leading "0x" is accepted.
Result<Bytes> from_hex(std::string_view text);

}  // namespace lockstep
