#include <algorithm>
#include <charconv>
#include <optional>

#include "chainbridge/evm/abi.h"

namespace lockstep {
namespace {

constexpr std::size_t kWordBytes = 32;

class TypeParser {
 public:
  explicit TypeParser(std::string_view text) : text_(text), rest_(text) {}

  Result<AbiType> parse() {
    LOCKSTEP_TRY_ASSIGN(AbiType type, next(0), "ABI type");
    if (!rest_.empty()) return refuse("ends before");
    return type;
  }

 private:
  Error refuse(std::string_view why) const {
    return {ErrorCode::kInvalidArgument, "\"" + std::string(text_.substr(0, 80)) + "\" " +
                                             std::string(why) + " \"" +
                                             std::string(rest_.substr(0, 20)) + "\""};
  }

  bool take(std::string_view token) {
    if (!rest_.starts_with(token)) return false;
    rest_.remove_prefix(token.size());
    return true;
  }

  // Decimal digits without leading zeros; nothing when there are none.
  std::optional<std::uint32_t> take_number() {
    std::uint32_t number = 0;
    const auto [end, fault] = std::from_chars(rest_.data(), rest_.data() + rest_.size(), number);
    if (fault != std::errc{} || rest_.front() == '0') return std::nullopt;
    rest_.remove_prefix(static_cast<std::size_t>(end - rest_.data()));
    return number;
  }

  Result<AbiType> next(int depth) {
    if (depth > kMaxAbiDepth || ++num_types_ > kMaxAbiTypes) return refuse("is too large at");
    LOCKSTEP_TRY_ASSIGN(AbiType type, take("(") ? tuple(depth) : elementary(), "element");
    while (take("[")) {
      const std::optional<std::uint32_t> size = take_number();
      if (!take("]") || size.value_or(1) > kMaxAbiArray || ++depth > kMaxAbiDepth) {
        return refuse("has no array at");
      }
      if (type.head_bytes() == 0) return refuse("has an array of nothing at");
      AbiType array{AbiType::Kind::kArray, size.value_or(0), {}};
      array.components.push_back(std::move(type));
      type = std::move(array);
    }
    return type;
  }

  Result<AbiType> tuple(int depth) {
    AbiType type{AbiType::Kind::kTuple, 0, {}};
    if (take(")")) return type;
    do {
      LOCKSTEP_TRY_ASSIGN(AbiType field, next(depth + 1), "field");
      type.components.push_back(std::move(field));
    } while (take(","));
    if (!take(")")) return refuse("has no , or ) at");
    return type;
  }

  Result<AbiType> elementary() {
    using Kind = AbiType::Kind;
    if (take("address")) return AbiType{Kind::kAddress, 0, {}};
    if (take("bool")) return AbiType{Kind::kBool, 0, {}};
    if (take("string")) return AbiType{Kind::kString, 0, {}};
    if (take("bytes")) {
      if (rest_.empty() || rest_.front() < '0' || rest_.front() > '9') {
        return AbiType{Kind::kBytes, 0, {}};
      }
      const std::uint32_t size = take_number().value_or(0);
      if (size < 1 || size > kWordBytes) return refuse("has bytes1 to bytes32 only, before");
      return AbiType{Kind::kFixedBytes, size, {}};
    }
    const bool is_unsigned = take("uint");
    if (!is_unsigned && !take("int")) return refuse("has no type at");
    const std::uint32_t bits = rest_.empty() ? 0 : take_number().value_or(0);
    if (bits < 8 || bits > 256 || bits % 8 != 0) return refuse("has no number of bits before");
    return AbiType{is_unsigned ? Kind::kUint : Kind::kInt, bits, {}};
  }

  std::string_view text_;
  std::string_view rest_;
  std::size_t num_types_ = 0;
};

}  // namespace

bool AbiType::is_dynamic() const {
  switch (kind) {
    case Kind::kBytes:
    case Kind::kString:
      return true;
    case Kind::kArray:
      return size == 0 || components.front().is_dynamic();
    case Kind::kTuple:
      return std::ranges::any_of(components, &AbiType::is_dynamic);
    default:
      return false;
  }
}

std::size_t AbiType::head_bytes() const {
  if (is_dynamic()) return kWordBytes;
  if (kind == Kind::kArray) return size * components.front().head_bytes();
  if (kind != Kind::kTuple) return kWordBytes;
  std::size_t sum = 0;
  for (const AbiType& component : components) sum += component.head_bytes();
  return sum;
}

Result<AbiType> parse_abi_type(std::string_view text) { return TypeParser(text).parse(); }

}  // namespace lockstep
