// 32-byte digests: SHA-256 (files, logits) and Keccak-256 (everything that a chain sees; not
// SHA3-256).
#pragma once

#include <array>
#include <compare>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include "base/bytes.h"
#include "base/result.h"

namespace lockstep {

struct Digest {
  std::array<std::uint8_t, 32> bytes{};  // All zero: "none".

  auto operator<=>(const Digest&) const = default;
  ByteView view() const { return bytes; }
  bool is_zero() const { return *this == Digest{}; }
  std::string hex() const { return to_hex(bytes); }

  // kInvalidArgument unless `text` is 64 hexadecimal digits, "0x" allowed.
  static Result<Digest> from_hex(std::string_view text);
};

// SHA-256 of a stream. Not thread-safe; one object per stream.
class Sha256 {
 public:
  Sha256();
  ~Sha256();
  Sha256(Sha256&&) noexcept;
  Sha256& operator=(Sha256&&) noexcept;

  void update(ByteView bytes);
  // The digest of all that was updated; the object starts anew.
  Digest finish();

 private:
  struct State;
  std::unique_ptr<State> state_;
};

Digest sha256(ByteView bytes);
Digest keccak256(ByteView bytes);
inline Digest keccak256(std::string_view text) { return keccak256(as_bytes(text)); }

// Keccak-256 of a stream, as Sha256.
class Keccak256 {
 public:
  Keccak256();
  ~Keccak256();
  Keccak256(Keccak256&&) noexcept;
  Keccak256& operator=(Keccak256&&) noexcept;

  void update(ByteView bytes);
  Digest finish();

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace lockstep
