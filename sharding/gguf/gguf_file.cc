#include "sharding/gguf/gguf_file.h"

#include <algorithm>
#include <bit>
#include <optional>

#include "base/checked.h"
#include "sharding/gguf/byte_reader.h"
#include "sharding/gguf/gguf_value.h"

namespace lockstep {
namespace {

constexpr std::uint64_t kMaxValues = 1 << 16;
constexpr std::uint64_t kMaxTensors = 1 << 16;
constexpr std::size_t kMaxKeyBytes = 65535;
constexpr std::size_t kMaxNameBytes = 127;
constexpr std::uint64_t kMinValueBytes = 13;  // Key length, type, one byte.
constexpr std::uint64_t kMinTensorBytes =
    32;  // Name length, dimensions, one of them, type, offset.
constexpr std::uint64_t kDefaultAlignment = 32;
constexpr std::uint64_t kMaxAlignment = 1 << 20;

Error corrupt(std::string message) { return Error{ErrorCode::kCorrupt, std::move(message)}; }

Error truncated_at(const ByteReader& reader, const std::string& what) {
  return corrupt("truncated: " + what + " at byte " + std::to_string(reader.position()) +
                 " does not fit into the file");
}

// Text of the file in an error message: printable and short.
std::string quoted(std::string_view text) {
  std::string out = "\"";
  for (const char c : text.substr(0, 80)) out += c >= 0x20 && c < 0x7F ? c : '?';
  return out + "\"";
}

struct Header {
  std::uint64_t num_tensors = 0;
  std::uint64_t num_values = 0;
};

Result<Header> read_header(ByteReader& reader) {
  const auto magic = reader.take(4);
  if (!magic || as_text(*magic) != "GGUF") {
    return corrupt("is no GGUF file: its first four bytes are not \"GGUF\"");
  }
  const auto version = reader.read<std::uint32_t>();
  if (!version) return truncated_at(reader, "version");
  if (*version != 2 && *version != 3) {
    if (std::uint32_t swapped = __builtin_bswap32(*version); swapped >= 1 && swapped <= 3) {
      return Error{ErrorCode::kInvalidArgument, "is big-endian GGUF; only little-endian is read"};
    }
    return Error{ErrorCode::kInvalidArgument,
                 "is GGUF version " + std::to_string(*version) + "; versions 2 and 3 are read"};
  }
  const auto num_tensors = reader.read<std::uint64_t>();
  const auto num_values = reader.read<std::uint64_t>();
  if (!num_tensors || !num_values) return truncated_at(reader, "header");
  if (*num_tensors > kMaxTensors || *num_tensors > reader.remaining() / kMinTensorBytes) {
    return corrupt("tensor count " + std::to_string(*num_tensors) +
                   " is more than the file can hold or than 65536");
  }
  if (*num_values > kMaxValues || *num_values > reader.remaining() / kMinValueBytes) {
    return corrupt("key count " + std::to_string(*num_values) +
                   " is more than the file can hold or than 65536");
  }
  return Header{*num_tensors, *num_values};
}

Result<GgufValue> read_value(ByteReader& reader, ByteView bytes) {
  const auto key = reader.read_string();
  if (!key) return truncated_at(reader, "key");
  if (key->size() > kMaxKeyBytes) return corrupt("a key is longer than 65535 bytes");
  const auto type = reader.read<std::uint32_t>();
  if (!type) return truncated_at(reader, "type of " + quoted(*key));
  GgufValue value{*key, static_cast<GgufValueType>(*type), {}};
  const std::uint64_t begin = reader.position();
  LOCKSTEP_TRY(skip_gguf_value(reader, value.type), "key " + quoted(*key));
  value.encoded = bytes.subspan(begin, reader.position() - begin);
  return value;
}

// Elements and bytes of one block of a type; nothing for types that are not imported.
struct BlockSize {
  std::uint64_t elements;
  std::uint64_t bytes;
};

std::optional<BlockSize> block_size(GgufTensorType type) {
  switch (type) {
    case GgufTensorType::kF32:
      return BlockSize{1, 4};
    case GgufTensorType::kF16:
    case GgufTensorType::kBf16:
      return BlockSize{1, 2};
    case GgufTensorType::kQ4_0:
      return BlockSize{32, 18};
    case GgufTensorType::kQ4_1:
      return BlockSize{32, 20};
    case GgufTensorType::kQ8_0:
      return BlockSize{32, 34};
  }
  return std::nullopt;
}

// The published names of tensor types, so that a refusal can name them.
std::string type_name(std::uint32_t type) {
  constexpr std::array<std::string_view, 40> kNames = {
      "F32",   "F16",        "Q4_0",       "Q4_1",       "Q4_2",     "Q4_3",     "Q5_0",
      "Q5_1",  "Q8_0",       "Q8_1",       "Q2_K",       "Q3_K",     "Q4_K",     "Q5_K",
      "Q6_K",  "Q8_K",       "IQ2_XXS",    "IQ2_XS",     "IQ3_XXS",  "IQ1_S",    "IQ4_NL",
      "IQ3_S", "IQ2_S",      "IQ4_XS",     "I8",         "I16",      "I32",      "I64",
      "F64",   "IQ1_M",      "BF16",       "Q4_0_4_4",   "Q4_0_4_8", "Q4_0_8_8", "TQ1_0",
      "TQ2_0", "IQ4_NL_4_4", "IQ4_NL_4_8", "IQ4_NL_8_8", "MXFP4"};
  return type < kNames.size() ? std::string(kNames[type]) : "number " + std::to_string(type);
}

struct TensorEntry {
  GgufTensor tensor;
  std::uint64_t offset = 0;  // From the start of the data section.
  std::uint64_t bytes = 0;
};

// Sets rows, k, row_bytes and bytes from the dimensions.
Status measure(std::span<const std::uint64_t> dims, TensorEntry& entry) {
  const auto block = block_size(entry.tensor.type);
  if (!block) {
    return Error{ErrorCode::kInvalidArgument,
                 "type " + type_name(static_cast<std::uint32_t>(entry.tensor.type)) +
                     " is not supported; F32, F16, BF16, Q8_0, Q4_0 and Q4_1 are"};
  }
  std::uint64_t rows = 1;
  for (std::size_t i = 0; i < dims.size(); ++i) {
    if (dims[i] == 0 || dims[i] > INT32_MAX) {
      return corrupt("dimension " + std::to_string(i) + " is " + std::to_string(dims[i]));
    }
    if (i == 0) continue;
    const auto product = checked_mul(rows, dims[i]);
    if (!product || *product > INT32_MAX) return corrupt("the product of its dimensions overflows");
    rows = *product;
  }
  if (dims[0] % block->elements != 0) {
    return corrupt("rows of " + std::to_string(dims[0]) + " elements are no whole blocks of 32");
  }
  entry.tensor.vector = dims.size() == 1;
  entry.tensor.rows = static_cast<std::int64_t>(rows);
  entry.tensor.k = static_cast<std::int64_t>(dims[0]);
  entry.tensor.row_bytes = dims[0] / block->elements * block->bytes;  // Below 2^33.
  entry.bytes = rows * entry.tensor.row_bytes;                        // Below 2^64.
  return {};
}

Result<TensorEntry> read_tensor(ByteReader& reader) {
  const auto name = reader.read_string();
  if (!name) return truncated_at(reader, "tensor name");
  if (name->size() > kMaxNameBytes) return corrupt("a tensor name is longer than 127 bytes");
  const std::string place = "tensor " + quoted(*name);
  const auto num_dims = reader.read<std::uint32_t>();
  if (!num_dims) return truncated_at(reader, place);
  if (*num_dims < 1 || *num_dims > 4) {
    return corrupt(place + ": has " + std::to_string(*num_dims) + " dimensions, not 1 to 4");
  }
  std::array<std::uint64_t, 4> dims{};
  for (std::uint32_t i = 0; i < *num_dims; ++i) {
    const auto dim = reader.read<std::uint64_t>();
    if (!dim) return truncated_at(reader, place);
    dims[i] = *dim;
  }
  const auto type = reader.read<std::uint32_t>();
  const auto offset = reader.read<std::uint64_t>();
  if (!type || !offset) return truncated_at(reader, place);
  TensorEntry entry;
  entry.tensor.name = *name;
  entry.tensor.type = static_cast<GgufTensorType>(*type);
  entry.offset = *offset;
  LOCKSTEP_TRY(measure(std::span(dims).first(*num_dims), entry), place);
  return entry;
}

Result<std::uint64_t> data_alignment(const GgufFile& file) {
  const GgufValue* value = file.find_value("general.alignment");
  if (value == nullptr) return kDefaultAlignment;
  LOCKSTEP_TRY_ASSIGN(const std::uint64_t alignment, gguf_integer(*value), "metadata");
  if (!std::has_single_bit(alignment) || alignment > kMaxAlignment) {
    return corrupt("general.alignment: " + std::to_string(alignment) +
                   " is no power of two up to 2^20");
  }
  return alignment;
}

// Gives every tensor its bytes, in the order of the file; refuses overlaps.
Status place_tensors(ByteView data, std::uint64_t alignment, std::vector<TensorEntry>& entries) {
  std::sort(entries.begin(), entries.end(),
            [](const auto& a, const auto& b) { return a.offset < b.offset; });
  std::uint64_t end = 0;
  for (TensorEntry& entry : entries) {
    const std::string place = "tensor " + quoted(entry.tensor.name);
    if (entry.offset % alignment != 0) {
      return corrupt(place + ": offset " + std::to_string(entry.offset) +
                     " is no multiple of the alignment " + std::to_string(alignment));
    }
    if (entry.offset < end) return corrupt(place + ": overlaps another tensor");
    if (entry.offset > data.size() || entry.bytes > data.size() - entry.offset) {
      return corrupt(place + ": its " + std::to_string(entry.bytes) + " bytes at offset " +
                     std::to_string(entry.offset) + " end behind the file (truncated?)");
    }
    end = entry.offset + entry.bytes;
    entry.tensor.data = data.subspan(entry.offset, entry.bytes);
  }
  return {};
}

}  // namespace

std::string_view gguf_tensor_type_name(GgufTensorType type) {
  switch (type) {
    case GgufTensorType::kF32:
      return "F32";
    case GgufTensorType::kF16:
      return "F16";
    case GgufTensorType::kQ4_0:
      return "Q4_0";
    case GgufTensorType::kQ4_1:
      return "Q4_1";
    case GgufTensorType::kQ8_0:
      return "Q8_0";
    case GgufTensorType::kBf16:
      return "BF16";
  }
  return "unknown";
}

Result<GgufFile> GgufFile::open(const std::string& path) {
  LOCKSTEP_TRY_ASSIGN(MappedFile mapped, MappedFile::open(path), "GGUF");
  LOCKSTEP_TRY_ASSIGN(GgufFile file, parse(mapped.bytes()), path);
  file.mapped_ = std::move(mapped);
  return file;
}

Result<GgufFile> GgufFile::parse(ByteView bytes) {
  ByteReader reader(bytes);
  LOCKSTEP_TRY_ASSIGN(const Header header, read_header(reader), "header");
  GgufFile file;
  file.bytes_ = bytes;
  for (std::uint64_t i = 0; i < header.num_values; ++i) {
    LOCKSTEP_TRY_ASSIGN(const GgufValue value, read_value(reader, bytes), "metadata");
    file.values_.push_back(value);
  }
  std::sort(file.values_.begin(), file.values_.end(),
            [](const auto& a, const auto& b) { return a.key < b.key; });
  for (std::size_t i = 1; i < file.values_.size(); ++i) {
    if (file.values_[i].key == file.values_[i - 1].key) {
      return corrupt("key " + quoted(file.values_[i].key) + " is there twice");
    }
  }
  LOCKSTEP_TRY_ASSIGN(const std::uint64_t alignment, data_alignment(file), "metadata");

  std::vector<TensorEntry> entries;
  for (std::uint64_t i = 0; i < header.num_tensors; ++i) {
    LOCKSTEP_TRY_ASSIGN(const TensorEntry entry, read_tensor(reader), "tensor table");
    entries.push_back(entry);
  }
  const std::uint64_t begin = round_up(reader.position(), alignment);
  const ByteView data = begin < bytes.size() ? bytes.subspan(begin) : ByteView{};
  LOCKSTEP_TRY(place_tensors(data, alignment, entries), "tensor table");
  for (const TensorEntry& entry : entries) file.tensors_.push_back(entry.tensor);
  std::sort(file.tensors_.begin(), file.tensors_.end(),
            [](const auto& a, const auto& b) { return a.name < b.name; });
  for (std::size_t i = 1; i < file.tensors_.size(); ++i) {
    if (file.tensors_[i].name == file.tensors_[i - 1].name) {
      return corrupt("tensor " + quoted(file.tensors_[i].name) + " is there twice");
    }
  }
  return file;
}

const GgufValue* GgufFile::find_value(std::string_view key) const {
  const auto found = std::lower_bound(values_.begin(), values_.end(), key,
                                      [](const auto& value, auto k) { return value.key < k; });
  return found != values_.end() && found->key == key ? &*found : nullptr;
}

const GgufTensor* GgufFile::find_tensor(std::string_view name) const {
  const auto found = std::lower_bound(tensors_.begin(), tensors_.end(), name,
                                      [](const auto& tensor, auto n) { return tensor.name < n; });
  return found != tensors_.end() && found->name == name ? &*found : nullptr;
}

}  // namespace lockstep
