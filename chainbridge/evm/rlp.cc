#include "chainbridge/evm/rlp.h"

#include <string>

namespace lockstep {
namespace {

constexpr std::uint8_t kString = 0x80;
constexpr std::uint8_t kList = 0xC0;
constexpr std::size_t kShort = 55;  // Payloads up to here have their length in the first byte.

void append_prefix(Bytes& out, std::uint8_t kind, std::size_t size) {
  if (size <= kShort) {
    out.push_back(static_cast<std::uint8_t>(kind + size));
    return;
  }
  const Bytes length = Uint256(size).minimal_bytes();
  out.push_back(static_cast<std::uint8_t>(kind + kShort + length.size()));
  out.insert(out.end(), length.begin(), length.end());
}

Error corrupt(std::string_view why) { return {ErrorCode::kCorrupt, "RLP: " + std::string(why)}; }

class Decoder {
 public:
  explicit Decoder(ByteView bytes) : rest_(bytes) {}

  bool is_done() const { return rest_.empty(); }

  Result<RlpItem> next(int depth) {
    if (++num_items_ > kMaxRlpItems) return corrupt("too many items");
    if (rest_.empty()) return corrupt("the bytes end before the item");
    const std::uint8_t first = rest_.front();
    if (first < kString) return RlpItem{.is_list = false, .bytes = take(1), .items = {}};
    rest_ = rest_.subspan(1);
    const bool is_list = first >= kList;
    LOCKSTEP_TRY_ASSIGN(const std::size_t size, payload_size(first - (is_list ? kList : kString)),
                        "item");
    const ByteView payload = take(size);
    if (!is_list) {
      if (size == 1 && payload[0] < kString) return corrupt("a single byte with a prefix");
      return RlpItem{.is_list = false, .bytes = payload, .items = {}};
    }
    return list(payload, depth);
  }

 private:
  ByteView take(std::size_t size) {
    const ByteView taken = rest_.first(size);
    rest_ = rest_.subspan(size);
    return taken;
  }

  // `code` counts from the kind's first byte on. Ensures: as many bytes are left.
  Result<std::size_t> payload_size(int code) {
    auto size = static_cast<std::size_t>(code);
    if (size > kShort) {
      const std::size_t num_bytes = size - kShort;
      if (num_bytes > rest_.size()) return corrupt("the bytes end within a length");
      const ByteView length = take(num_bytes);
      if (length.front() == 0) return corrupt("a length with leading zeros");
      size = 0;
      for (const std::uint8_t byte : length) {
        if (size > rest_.size()) break;  // Long enough to be wrong; no overflow.
        size = size << 8 | byte;
      }
      if (size <= kShort) return corrupt("a short payload with a long prefix");
    }
    if (size > rest_.size()) return corrupt("the bytes end within an item");
    return size;
  }

  Result<RlpItem> list(ByteView payload, int depth) {
    if (depth >= kMaxRlpDepth) return corrupt("lists nested too deep");
    RlpItem item{.is_list = true, .bytes = {}, .items = {}};
    const ByteView behind = rest_;
    rest_ = payload;
    while (!rest_.empty()) {
      LOCKSTEP_TRY_ASSIGN(RlpItem child, next(depth + 1), "list");
      item.items.push_back(std::move(child));
    }
    rest_ = behind;
    return item;
  }

  ByteView rest_;
  std::size_t num_items_ = 0;
};

}  // namespace

void append_rlp_bytes(Bytes& out, ByteView bytes) {
  const bool is_itself = bytes.size() == 1 && bytes[0] < kString;
  if (!is_itself) append_prefix(out, kString, bytes.size());
  out.insert(out.end(), bytes.begin(), bytes.end());
}

void append_rlp_integer(Bytes& out, const Uint256& value) {
  append_rlp_bytes(out, value.minimal_bytes());
}

void append_rlp_list(Bytes& out, ByteView payload) {
  append_prefix(out, kList, payload.size());
  out.insert(out.end(), payload.begin(), payload.end());
}

Result<RlpItem> decode_rlp(ByteView bytes) {
  Decoder decoder(bytes);
  LOCKSTEP_TRY_ASSIGN(RlpItem item, decoder.next(0), "decode");
  if (!decoder.is_done()) return corrupt("bytes behind the item");
  return item;
}

Result<Uint256> rlp_integer(const RlpItem& item) {
  if (item.is_list) return corrupt("a list where an integer was expected");
  if (!item.bytes.empty() && item.bytes.front() == 0) {
    return corrupt("an integer with leading zeros");
  }
  const Result<Uint256> value = Uint256::of_bytes(item.bytes);
  if (!value.ok()) return corrupt(value.error().message);
  return value;
}

}  // namespace lockstep
