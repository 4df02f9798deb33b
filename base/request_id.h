// The identity of a request for ever: 16 bytes that grow with time, so that rows are appended where
// the last ones are.
#pragma once

#include <array>
#include <compare>
#include <cstdint>
#include <functional>
#include <string>
#include <string_view>

#include "base/random.h"
#include "base/result.h"

namespace lockstep {

struct RequestId {
  std::array<std::uint8_t, 16> bytes{};  // All zero: "none".

  auto operator<=>(const RequestId&) const = default;
  bool is_zero() const { return *this == RequestId{}; }
  // 32 hexadecimal digits.
  std::string text() const;
  // Milliseconds since 1970 when it was made.
  std::int64_t unix_ms() const;

  // kInvalidArgument unless `text` is 32 lower-case hexadecimal digits.
  static Result<RequestId> parse(std::string_view text);
};

// Gives ids that grow: 48 bits of milliseconds, version and variant as in a UUIDv7 (RFC 9562), the
// rest random, counted up within a millisecond. Not thread-safe.
class RequestIdSource {
 public:
  // `random` must outlive the source.
  explicit RequestIdSource(Random& random) : random_(random) {}
  // Also greater than the last when the clock went back.
  RequestId next(std::int64_t unix_ms);

 private:
  Random& random_;
  RequestId last_;
};

}  // namespace lockstep

template <>
struct std::hash<lockstep::RequestId> {
  std::size_t operator()(const lockstep::RequestId& id) const noexcept;
};
