#include "base/request_id.h"

#include <algorithm>
#include <cstring>

#include "base/bytes.h"

namespace lockstep {

namespace {

constexpr std::size_t kTimeBytes = 6;

void set_version_and_variant(RequestId& id) {
  id.bytes[6] = static_cast<std::uint8_t>((id.bytes[6] & 0x0F) | 0x70);
  id.bytes[8] = static_cast<std::uint8_t>((id.bytes[8] & 0x3F) | 0x80);
}

// Adds one to bytes [9, 16), the random tail behind the variant. False when all were 255.
bool count_up(RequestId& id) {
  for (std::size_t i = id.bytes.size(); i-- > 9;) {
    if (++id.bytes[i] != 0) return true;
  }
  return false;
}

}  // namespace

std::string RequestId::text() const { return to_hex(bytes); }

std::int64_t RequestId::unix_ms() const {
  std::int64_t ms = 0;
  for (std::size_t i = 0; i < kTimeBytes; ++i) ms = ms << 8 | bytes[i];
  return ms;
}

Result<RequestId> RequestId::parse(std::string_view text) {
  const bool lower_case = std::ranges::all_of(
      text, [](char c) { return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f'); });
  if (text.size() != 32 || !lower_case) {
    return Error{ErrorCode::kInvalidArgument, "a request id has 32 hexadecimal digits"};
  }
  const Result<Bytes> digits = from_hex(text);
  RequestId id;
  std::ranges::copy(digits.value(), id.bytes.begin());
  return id;
}

RequestId RequestIdSource::next(std::int64_t unix_ms) {
  std::int64_t ms = std::max(unix_ms, last_.unix_ms());
  if (ms == last_.unix_ms() && !last_.is_zero()) {
    if (count_up(last_)) return last_;
    ++ms;
  }
  RequestId id;
  random_.fill(id.bytes);
  for (std::size_t i = 0; i < kTimeBytes; ++i) {
    id.bytes[i] = static_cast<std::uint8_t>(ms >> (8 * (kTimeBytes - 1 - i)));
  }
  set_version_and_variant(id);
  id.bytes[9] &= 0x7F;  // Room to count up.
  last_ = id;
  return id;
}

}  // namespace lockstep

std::size_t std::hash<lockstep::RequestId>::operator()(
    const lockstep::RequestId& id) const noexcept {
  return lockstep::load_le<std::size_t>(id.bytes.data() + 8);
}
