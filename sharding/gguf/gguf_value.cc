#include "sharding/gguf/gguf_value.h"

#include <array>
#include <cstdio>

namespace lockstep {
namespace {

constexpr int kMaxArrayDepth = 4;

// Bytes of a value of fixed size; 0 for strings and arrays.
std::size_t fixed_size(GgufValueType type) {
  switch (type) {
    case GgufValueType::kUint8:
    case GgufValueType::kInt8:
    case GgufValueType::kBool:
      return 1;
    case GgufValueType::kUint16:
    case GgufValueType::kInt16:
      return 2;
    case GgufValueType::kUint32:
    case GgufValueType::kInt32:
    case GgufValueType::kFloat32:
      return 4;
    case GgufValueType::kUint64:
    case GgufValueType::kInt64:
    case GgufValueType::kFloat64:
      return 8;
    case GgufValueType::kString:
    case GgufValueType::kArray:
      return 0;
  }
  return 0;
}

Error truncated(const ByteReader& reader) {
  return Error{ErrorCode::kCorrupt, "value is truncated " + std::to_string(reader.remaining()) +
                                        " bytes before the end of the file"};
}

Status skip_value(ByteReader& reader, GgufValueType type, int depth) {
  if (static_cast<std::uint32_t>(type) > static_cast<std::uint32_t>(GgufValueType::kFloat64)) {
    return Error{ErrorCode::kCorrupt,
                 "value type " + std::to_string(static_cast<std::uint32_t>(type)) + " is unknown"};
  }
  if (const std::size_t size = fixed_size(type); size != 0) {
    if (!reader.take(size)) return truncated(reader);
    return {};
  }
  if (type == GgufValueType::kString) {
    if (!reader.read_string()) return truncated(reader);
    return {};
  }
  if (depth >= kMaxArrayDepth) {
    return Error{ErrorCode::kCorrupt,
                 "arrays nest deeper than " + std::to_string(kMaxArrayDepth) + " levels"};
  }
  const auto element = reader.read<std::uint32_t>();
  const auto count = reader.read<std::uint64_t>();
  if (!element || !count) return truncated(reader);
  const auto element_type = static_cast<GgufValueType>(*element);
  if (const std::size_t size = *element <= 12 ? fixed_size(element_type) : 0; size != 0) {
    if (*count > reader.remaining() / size || !reader.take(*count * size)) return truncated(reader);
    return {};
  }
  // Every string or array takes at least eight bytes, so a count that cannot fit ends here.
  if (*count > reader.remaining() / 8) return truncated(reader);
  for (std::uint64_t i = 0; i < *count; ++i) {
    LOCKSTEP_TRY(skip_value(reader, element_type, depth + 1), "array");
  }
  return {};
}

// Length of the UTF-8 sequence at the start of `text`; 0 when there is none (overlong, surrogate,
// above U+10FFFF).
std::size_t utf8_length(std::string_view text) {
  const auto byte = [&](std::size_t i) { return static_cast<unsigned char>(text[i]); };
  const auto continues = [&](std::size_t i, unsigned low = 0x80, unsigned high = 0xBF) {
    return i < text.size() && byte(i) >= low && byte(i) <= high;
  };
  const unsigned first = byte(0);
  if (first < 0x80) return 1;
  if (first >= 0xC2 && first <= 0xDF) return continues(1) ? 2 : 0;
  if (first >= 0xE0 && first <= 0xEF) {
    const bool second = continues(1, first == 0xE0 ? 0xA0 : 0x80, first == 0xED ? 0x9F : 0xBF);
    return second && continues(2) ? 3 : 0;
  }
  if (first >= 0xF0 && first <= 0xF4) {
    const bool second = continues(1, first == 0xF0 ? 0x90 : 0x80, first == 0xF4 ? 0x8F : 0xBF);
    return second && continues(2) && continues(3) ? 4 : 0;
  }
  return 0;
}

void append_escaped(char c, std::string& out) {
  switch (c) {
    case '"':
      out += "\\\"";
      return;
    case '\\':
      out += "\\\\";
      return;
    case '\b':
      out += "\\b";
      return;
    case '\f':
      out += "\\f";
      return;
    case '\n':
      out += "\\n";
      return;
    case '\r':
      out += "\\r";
      return;
    case '\t':
      out += "\\t";
      return;
    default:
      break;
  }
  if (static_cast<unsigned char>(c) >= 0x20) {
    out += c;
    return;
  }
  constexpr std::string_view kDigits = "0123456789abcdef";
  out += "\\u00";
  out += kDigits[static_cast<unsigned char>(c) >> 4];
  out += kDigits[static_cast<unsigned char>(c) & 15];
}

template <typename T>
void append_number(ByteReader& reader, std::string& out) {
  out += std::to_string(*reader.read<T>());
}

// The reader has passed skip_value, so nothing here runs past the end.
void append_fixed(ByteReader& reader, GgufValueType type, std::string& out) {
  switch (type) {
    case GgufValueType::kUint8:
      return append_number<std::uint8_t>(reader, out);
    case GgufValueType::kInt8:
      return append_number<std::int8_t>(reader, out);
    case GgufValueType::kUint16:
      return append_number<std::uint16_t>(reader, out);
    case GgufValueType::kInt16:
      return append_number<std::int16_t>(reader, out);
    case GgufValueType::kUint32:
    case GgufValueType::kFloat32:
      return append_number<std::uint32_t>(reader, out);
    case GgufValueType::kInt32:
      return append_number<std::int32_t>(reader, out);
    case GgufValueType::kUint64:
    case GgufValueType::kFloat64:
      return append_number<std::uint64_t>(reader, out);
    case GgufValueType::kInt64:
      return append_number<std::int64_t>(reader, out);
    case GgufValueType::kBool:
      out += *reader.read<std::uint8_t>() != 0 ? "true" : "false";
      return;
    case GgufValueType::kString:
    case GgufValueType::kArray:
      return;
  }
}

Status append_value(ByteReader& reader, GgufValueType type, std::size_t max_bytes,
                    std::string& out) {
  if (out.size() > max_bytes) {
    return Error{ErrorCode::kExhausted,
                 "text is longer than " + std::to_string(max_bytes) + " bytes"};
  }
  if (type == GgufValueType::kString) {
    if (!append_json_string(*reader.read_string(), out)) {
      return Error{ErrorCode::kInvalidArgument, "text is no UTF-8"};
    }
    return {};
  }
  if (type != GgufValueType::kArray) {
    append_fixed(reader, type, out);
    return {};
  }
  const auto element = static_cast<GgufValueType>(*reader.read<std::uint32_t>());
  const std::uint64_t count = *reader.read<std::uint64_t>();
  out += '[';
  for (std::uint64_t i = 0; i < count; ++i) {
    if (i != 0) out += ',';
    auto status = append_value(reader, element, max_bytes, out);
    if (!status.ok()) {
      return std::move(status).error().with_context("element " + std::to_string(i));
    }
  }
  out += ']';
  return {};
}

Error wrong_type(const GgufValue& value, const char* expected) {
  return Error{ErrorCode::kInvalidArgument,
               std::string(value.key) + ": expected " + expected + ", got value type " +
                   std::to_string(static_cast<std::uint32_t>(value.type))};
}

}  // namespace

Status skip_gguf_value(ByteReader& reader, GgufValueType type) {
  return skip_value(reader, type, 0);
}

Result<std::uint64_t> gguf_integer(const GgufValue& value) {
  const auto signed_value = [&]() -> std::optional<std::int64_t> {
    const std::uint8_t* data = value.encoded.data();
    switch (value.type) {
      case GgufValueType::kUint8:
        return load_le<std::uint8_t>(data);
      case GgufValueType::kInt8:
        return load_le<std::int8_t>(data);
      case GgufValueType::kUint16:
        return load_le<std::uint16_t>(data);
      case GgufValueType::kInt16:
        return load_le<std::int16_t>(data);
      case GgufValueType::kUint32:
        return load_le<std::uint32_t>(data);
      case GgufValueType::kInt32:
        return load_le<std::int32_t>(data);
      case GgufValueType::kUint64:
      case GgufValueType::kInt64:
        return load_le<std::int64_t>(data);
      default:
        return std::nullopt;
    }
  }();
  if (!signed_value) return wrong_type(value, "an integer");
  if (*signed_value < 0) {
    return Error{ErrorCode::kInvalidArgument,
                 std::string(value.key) + ": is negative or larger than 2^63"};
  }
  return static_cast<std::uint64_t>(*signed_value);
}

Result<float> gguf_float(const GgufValue& value) {
  if (value.type != GgufValueType::kFloat32) return wrong_type(value, "a float32");
  return load_le<float>(value.encoded.data());
}

Result<bool> gguf_flag(const GgufValue& value) {
  if (value.type != GgufValueType::kBool) return wrong_type(value, "a bool");
  return value.encoded[0] != 0;
}

Result<std::string_view> gguf_text(const GgufValue& value) {
  if (value.type != GgufValueType::kString) return wrong_type(value, "a string");
  return as_text(value.encoded.subspan(sizeof(std::uint64_t)));
}

Status append_gguf_json(const GgufValue& value, std::size_t max_bytes, std::string& out) {
  ByteReader reader(value.encoded);
  LOCKSTEP_TRY(append_value(reader, value.type, max_bytes, out), value.key);
  return {};
}

bool append_json_string(std::string_view text, std::string& out) {
  out += '"';
  while (!text.empty()) {
    const std::size_t length = utf8_length(text);
    if (length == 0) return false;
    if (length == 1) {
      append_escaped(text[0], out);
    } else {
      out += text.substr(0, length);
    }
    text.remove_prefix(length);
  }
  out += '"';
  return true;
}

}  // namespace lockstep
