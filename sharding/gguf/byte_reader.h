// Reads little-endian fields from hostile bytes; a read past the end fails and stays failed.
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>

#include "base/bytes.h"

namespace lockstep {

class ByteReader {
 public:
  explicit ByteReader(ByteView bytes) : bytes_(bytes) {}

  std::uint64_t position() const { return position_; }
  std::uint64_t remaining() const { return bytes_.size() - position_; }

  // Nothing when fewer bytes are left.
  template <typename T>
  std::optional<T> read() {
    if (remaining() < sizeof(T)) return std::nullopt;
    const T value = load_le<T>(bytes_.data() + position_);
    position_ += sizeof(T);
    return value;
  }

  std::optional<ByteView> take(std::uint64_t count) {
    if (remaining() < count) return std::nullopt;
    const ByteView view = bytes_.subspan(position_, count);
    position_ += count;
    return view;
  }

  // A 64-bit length and as many bytes.
  std::optional<std::string_view> read_string() {
    const auto length = read<std::uint64_t>();
    if (!length) return std::nullopt;
    const auto view = take(*length);
    if (!view) return std::nullopt;
    return as_text(*view);
  }

 private:
  ByteView bytes_;
  std::size_t position_ = 0;
};

}  // namespace lockstep
