#include "chainbridge/evm/abi.h"

#include <algorithm>

#include "base/checked.h"

namespace lockstep {
namespace {

using Kind = AbiType::Kind;

constexpr std::size_t kWordBytes = 32;
constexpr std::size_t kSelectorBytes = 4;

bool all(ByteView bytes, std::uint8_t value) {
  return std::ranges::all_of(bytes, [value](std::uint8_t byte) { return byte == value; });
}

// Whether `word` is a value of the elementary type.
bool is_word_of(const AbiType& type, const Digest& word) {
  const ByteView bytes = word.view();
  switch (type.kind) {
    case Kind::kUint:
      return all(bytes.first(kWordBytes - type.size / 8), 0);
    case Kind::kInt: {
      const std::size_t padding = kWordBytes - type.size / 8;
      return all(bytes.first(padding), (bytes[padding] & 0x80) != 0 ? 0xFF : 0);
    }
    case Kind::kAddress:
      return all(bytes.first(12), 0);
    case Kind::kBool:
      return all(bytes.first(31), 0) && bytes[31] <= 1;
    case Kind::kFixedBytes:
      return all(bytes.subspan(type.size), 0);
    default:
      return false;
  }
}

void append_word(Bytes& out, const Digest& word) {
  out.insert(out.end(), word.bytes.begin(), word.bytes.end());
}

std::size_t padded(std::size_t size) { return round_up(size, kWordBytes); }

// The type of item `i` of an array or tuple.
const AbiType& item_type(const AbiType& type, std::size_t i) {
  return type.kind == Kind::kArray ? type.components.front() : type.components[i];
}

Status append_value(Bytes& out, const AbiType& type, const AbiValue& value);

// Heads and tails of the items of an array or tuple.
Status append_items(Bytes& out, const AbiType& type, const std::vector<AbiValue>& items) {
  std::size_t heads = 0;
  for (std::size_t i = 0; i < items.size(); ++i) heads += item_type(type, i).head_bytes();
  Bytes tails;
  for (std::size_t i = 0; i < items.size(); ++i) {
    const AbiType& item = item_type(type, i);
    if (item.is_dynamic()) append_word(out, Uint256(heads + tails.size()).word());
    LOCKSTEP_TRY(append_value(item.is_dynamic() ? tails : out, item, items[i]),
                 "item " + std::to_string(i));
  }
  out.insert(out.end(), tails.begin(), tails.end());
  return {};
}

Status append_value(Bytes& out, const AbiType& type, const AbiValue& value) {
  const auto refuse = [](const char* why) { return Error{ErrorCode::kInvalidArgument, why}; };
  switch (type.kind) {
    case Kind::kBytes:
    case Kind::kString: {
      append_word(out, Uint256(value.bytes.size()).word());
      const std::size_t end = out.size() + padded(value.bytes.size());
      out.insert(out.end(), value.bytes.begin(), value.bytes.end());
      out.resize(end);
      return {};
    }
    case Kind::kArray:
      if (type.size != 0 && value.items.size() != type.size) return refuse("another array size");
      if (type.size == 0) append_word(out, Uint256(value.items.size()).word());
      return append_items(out, type, value.items);
    case Kind::kTuple:
      if (value.items.size() != type.components.size()) return refuse("another number of fields");
      return append_items(out, type, value.items);
    default:
      if (!is_word_of(type, value.word)) return refuse("out of the type's range");
      append_word(out, value.word);
      return {};
  }
}

Error corrupt(std::string_view why) { return {ErrorCode::kCorrupt, "ABI: " + std::string(why)}; }

// Reads values one behind the other; a head is read where it is, its tail must follow the last one.
class Decoder {
 public:
  explicit Decoder(ByteView bytes) : bytes_(bytes) {}

  // The value at `at`, with its tail; `at` is then behind it.
  Result<AbiValue> value(const AbiType& type, std::size_t& at) {
    switch (type.kind) {
      case Kind::kBytes:
      case Kind::kString:
        return bytes_value(at);
      case Kind::kArray: {
        if (type.size != 0) return items(type, type.size, at);
        LOCKSTEP_TRY_ASSIGN(const std::size_t count, size_word(at), "array");
        // Every element takes at least a word: nothing is allocated that could not be filled.
        if (count > (bytes_.size() - at) / type.components.front().head_bytes()) {
          return corrupt("an array longer than its bytes");
        }
        return items(type, count, at);
      }
      case Kind::kTuple:
        return items(type, type.components.size(), at);
      default: {
        LOCKSTEP_TRY_ASSIGN(const Digest word, next_word(at), "value");
        if (!is_word_of(type, word)) return corrupt("a word out of its type's range");
        return AbiValue::of(word);
      }
    }
  }

 private:
  Result<Digest> next_word(std::size_t& at) {
    if (bytes_.size() - at < kWordBytes) return corrupt("the bytes end within a word");
    Digest word;
    std::ranges::copy(bytes_.subspan(at, kWordBytes), word.bytes.begin());
    at += kWordBytes;
    return word;
  }

  // A length or offset, not beyond the end of the bytes.
  Result<std::size_t> size_word(std::size_t& at) {
    LOCKSTEP_TRY_ASSIGN(const Digest word, next_word(at), "length");
    const std::optional<std::uint64_t> size = Uint256::of_word(word).u64();
    if (!size || *size > bytes_.size()) return corrupt("a length beyond the bytes");
    return static_cast<std::size_t>(*size);
  }

  Result<AbiValue> bytes_value(std::size_t& at) {
    LOCKSTEP_TRY_ASSIGN(const std::size_t size, size_word(at), "bytes");
    if (padded(size) > bytes_.size() - at) return corrupt("the bytes end within a value");
    const ByteView content = bytes_.subspan(at, size);
    if (!all(bytes_.subspan(at + size, padded(size) - size), 0)) return corrupt("padding not zero");
    at += padded(size);
    return AbiValue::of_bytes(content);
  }

  Result<AbiValue> items(const AbiType& type, std::size_t count, std::size_t& at) {
    const std::size_t base = at;
    std::size_t heads = 0;
    for (std::size_t i = 0; i < count; ++i) heads += item_type(type, i).head_bytes();
    if (heads > bytes_.size() - base) return corrupt("the bytes end within a list");
    std::size_t tail = base + heads;
    AbiValue value;
    value.items.reserve(count);
    for (std::size_t i = 0; i < count; ++i) {
      const AbiType& item = item_type(type, i);
      if (item.is_dynamic()) {
        LOCKSTEP_TRY_ASSIGN(const std::size_t offset, size_word(at), "offset");
        if (offset != tail - base) return corrupt("a value that does not follow the one before");
      }
      LOCKSTEP_TRY_ASSIGN(AbiValue child, this->value(item, item.is_dynamic() ? tail : at), "item");
      value.items.push_back(std::move(child));
    }
    at = tail;
    return value;
  }

  ByteView bytes_;
};

// The arguments of "name(types)".
Result<AbiType> arguments_of(std::string_view signature) {
  const std::size_t open = signature.find('(');
  if (open == 0 || open == signature.npos) {
    return Error{ErrorCode::kInvalidArgument,
                 "expected name(types), got \"" + std::string(signature) + "\""};
  }
  return parse_abi_type(signature.substr(open));
}

}  // namespace

Result<Bytes> encode_abi(const AbiType& type, const AbiValue& value) {
  Bytes out;
  LOCKSTEP_TRY(append_value(out, type, value), "ABI");
  return out;
}

Result<AbiValue> decode_abi(const AbiType& type, ByteView bytes) {
  Decoder decoder(bytes);
  std::size_t at = 0;
  LOCKSTEP_TRY_ASSIGN(AbiValue value, decoder.value(type, at), "decode");
  if (at != bytes.size()) return corrupt("bytes behind the value");
  return value;
}

Selector abi_selector(std::string_view signature) {
  const Digest hash = keccak256(signature);
  Selector selector{};
  std::copy_n(hash.bytes.begin(), kSelectorBytes, selector.begin());
  return selector;
}

Result<Bytes> encode_abi_call(std::string_view signature, const std::vector<AbiValue>& arguments) {
  const Selector selector = abi_selector(signature);
  LOCKSTEP_TRY_ASSIGN(const AbiType type, arguments_of(signature), "call");
  LOCKSTEP_TRY_ASSIGN(const Bytes encoded, encode_abi(type, AbiValue::list(arguments)), signature);
  Bytes data(selector.begin(), selector.end());
  data.insert(data.end(), encoded.begin(), encoded.end());
  return data;
}

Result<std::vector<AbiValue>> decode_abi_call(std::string_view signature, ByteView data) {
  const Selector selector = abi_selector(signature);
  LOCKSTEP_TRY_ASSIGN(const AbiType type, arguments_of(signature), "call");
  if (data.size() < selector.size() || !std::ranges::equal(data.first(4), selector)) {
    return corrupt("not a call of " + std::string(signature));
  }
  LOCKSTEP_TRY_ASSIGN(AbiValue value, decode_abi(type, data.subspan(selector.size())), signature);
  return std::move(value.items);
}

}  // namespace lockstep
