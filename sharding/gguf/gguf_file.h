// A GGUF file (version 2 or 3, little-endian), mapped and indexed. The bytes are hostile: every
// count, length, offset and product is checked against what is left of the file before anything is
// allocated or read. Knows no architecture.
#pragma once

#include <array>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/bytes.h"
#include "base/file.h"
#include "base/result.h"

namespace lockstep {

// Types of metadata values, as the format numbers them.
enum class GgufValueType : std::uint32_t {
  kUint8 = 0,
  kInt8 = 1,
  kUint16 = 2,
  kInt16 = 3,
  kUint32 = 4,
  kInt32 = 5,
  kFloat32 = 6,
  kBool = 7,
  kString = 8,
  kArray = 9,
  kUint64 = 10,
  kInt64 = 11,
  kFloat64 = 12,
};

// Types of tensors that can be imported, as the format numbers them.
enum class GgufTensorType : std::uint32_t {
  kF32 = 0,
  kF16 = 1,
  kQ4_0 = 2,
  kQ4_1 = 3,
  kQ8_0 = 8,
  kBf16 = 30,
};

std::string_view gguf_tensor_type_name(GgufTensorType type);

// One key and where its value lies. Views into the mapped file.
struct GgufValue {
  std::string_view key;
  GgufValueType type{};
  ByteView encoded;  // Without key and type; checked to be complete.
};

// One tensor: `rows` rows of `k` elements (a vector has one row), row after row in `data`.
struct GgufTensor {
  std::string_view name;
  GgufTensorType type{};
  bool vector = false;  // One dimension in the file.
  std::int64_t rows = 0;
  std::int64_t k = 0;
  std::uint64_t row_bytes = 0;
  ByteView data;
};

class GgufFile {
 public:
  // Maps and indexes the file; the error names the file and the place.
  static Result<GgufFile> open(const std::string& path);
  // The same for bytes that outlive this object.
  static Result<GgufFile> parse(ByteView bytes);

  ByteView bytes() const { return bytes_; }
  std::span<const GgufValue> values() const { return values_; }     // Sorted by key, bytewise.
  std::span<const GgufTensor> tensors() const { return tensors_; }  // Sorted by name, bytewise.
  // Null when there is none.
  const GgufValue* find_value(std::string_view key) const;
  const GgufTensor* find_tensor(std::string_view name) const;

 private:
  MappedFile mapped_;
  ByteView bytes_;
  std::vector<GgufValue> values_;
  std::vector<GgufTensor> tensors_;
};

}  // namespace lockstep
