#include "chainbridge/ledger/field.h"

#include <bit>

namespace lockstep {
namespace {

Error wrong(const char* key, const std::string& expected) {
  return Error{ErrorCode::kCorrupt, "\"" + std::string(key) + "\": expected " + expected};
}

// Nothing when the value is no unsigned integer up to `max`.
std::optional<std::uint64_t> as_unsigned(const Json& value, std::uint64_t max) {
  if (!value.is_number_unsigned()) return std::nullopt;
  const auto number = value.get<std::uint64_t>();
  if (number > max) return std::nullopt;
  return number;
}

}  // namespace

Result<std::uint64_t> json_unsigned(const Json& object, const char* key, std::uint64_t max) {
  const auto member = json_member(object, key);
  if (!member.ok()) return member.error();
  const auto number = as_unsigned(*member.value(), max);
  if (!number) return wrong(key, "an integer in [0, " + std::to_string(max) + "]");
  return *number;
}

Result<std::uint32_t> json_u32(const Json& object, const char* key) {
  const auto number = json_unsigned(object, key, std::numeric_limits<std::uint32_t>::max());
  if (!number.ok()) return number.error();
  return static_cast<std::uint32_t>(number.value());
}

Result<float> json_float_bits(const Json& object, const char* key) {
  const auto bits = json_u32(object, key);
  if (!bits.ok()) return bits.error();
  return std::bit_cast<float>(bits.value());
}

Result<Digest> json_digest(const Json& object, const char* key) {
  const auto member = json_member(object, key);
  if (!member.ok()) return member.error();
  if (!member.value()->is_string()) return wrong(key, "64 hexadecimal digits");
  auto digest = Digest::from_hex(member.value()->get_ref<const std::string&>());
  if (!digest.ok()) return wrong(key, "64 hexadecimal digits");
  return digest;
}

Result<const Json*> json_array(const Json& object, const char* key) {
  auto member = json_member(object, key);
  if (member.ok() && !member.value()->is_array()) return wrong(key, "an array");
  return member;
}

Result<const Json*> json_object(const Json& object, const char* key) {
  auto member = json_member(object, key);
  if (member.ok() && !member.value()->is_object()) return wrong(key, "an object");
  return member;
}

Result<std::vector<Digest>> json_digests(const Json& object, const char* key) {
  const auto array = json_array(object, key);
  if (!array.ok()) return array.error();
  std::vector<Digest> digests;
  digests.reserve(array.value()->size());
  for (const Json& item : *array.value()) {
    if (!item.is_string()) return wrong(key, "an array of digests");
    const auto digest = Digest::from_hex(item.get_ref<const std::string&>());
    if (!digest.ok()) return wrong(key, "an array of digests");
    digests.push_back(digest.value());
  }
  return digests;
}

Result<std::vector<std::uint32_t>> json_u32s(const Json& object, const char* key) {
  const auto array = json_array(object, key);
  if (!array.ok()) return array.error();
  std::vector<std::uint32_t> numbers;
  numbers.reserve(array.value()->size());
  for (const Json& item : *array.value()) {
    const auto number = as_unsigned(item, std::numeric_limits<std::uint32_t>::max());
    if (!number) return wrong(key, "an array of 32-bit integers");
    numbers.push_back(static_cast<std::uint32_t>(*number));
  }
  return numbers;
}

}  // namespace lockstep
