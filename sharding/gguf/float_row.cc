#include "sharding/gguf/float_row.h"

#include <algorithm>
#include <array>
#include <bit>
#include <cmath>
#include <string>

#include "base/check.h"
#include "base/checked.h"
#include "sharding/store/half.h"

namespace lockstep {
namespace {

constexpr float kCodeLimit = 127.0F;

Error bad_row(const GgufTensor& tensor, std::int64_t row, const char* what) {
  return Error{ErrorCode::kInvalidArgument,
               "tensor " + std::string(tensor.name) + ": row " + std::to_string(row) + ": " + what};
}

// Values of one group of a row; fewer than 32 at the row's end.
std::span<const float> group_of(const GgufTensor& tensor, std::int64_t row, std::int64_t group,
                                std::array<float, kGroupSize>& values) {
  const std::int64_t begin = group * kGroupSize;
  const auto count = static_cast<std::size_t>(std::min<std::int64_t>(kGroupSize, tensor.k - begin));
  const std::span<float> out = std::span(values).first(count);
  read_floats(tensor, row, begin, out);
  return out;
}

Status check_float_row(const GgufTensor& tensor, std::int64_t row) {
  std::array<float, kGroupSize> values;
  for (std::int64_t group = 0; group < ceil_div<std::int64_t>(tensor.k, kGroupSize); ++group) {
    float largest = 0;
    for (const float value : group_of(tensor, row, group, values)) {
      if (!std::isfinite(value)) return bad_row(tensor, row, "a value is not finite");
      largest = std::max(largest, std::fabs(value));
    }
    if (!tensor.vector && !half_is_finite(float_to_half(largest / kCodeLimit))) {
      return bad_row(tensor, row, "values are too large for the scale of a q8_0 group");
    }
  }
  return {};
}

std::size_t file_block_bytes(GgufTensorType type) {
  switch (type) {
    case GgufTensorType::kQ4_0:
      return block_bytes(WeightFormat::kQ4_0);
    case GgufTensorType::kQ4_1:
      return block_bytes(WeightFormat::kQ4_1);
    default:
      return block_bytes(WeightFormat::kQ8_0);
  }
}

}  // namespace

void read_floats(const GgufTensor& tensor, std::int64_t row, std::int64_t column,
                 std::span<float> out) {
  const std::uint8_t* data =
      tensor.data.data() + static_cast<std::uint64_t>(row) * tensor.row_bytes;
  const auto begin = static_cast<std::size_t>(column);
  for (std::size_t i = 0; i < out.size(); ++i) {
    switch (tensor.type) {
      case GgufTensorType::kF32:
        out[i] = load_le<float>(data + 4 * (begin + i));
        break;
      case GgufTensorType::kF16:
        out[i] = half_to_float(load_le<std::uint16_t>(data + 2 * (begin + i)));
        break;
      case GgufTensorType::kBf16:
        out[i] = std::bit_cast<float>(std::uint32_t{load_le<std::uint16_t>(data + 2 * (begin + i))}
                                      << 16);
        break;
      default:
        CHECK(false, "read_floats of a block format");
    }
  }
}

bool quantize_q8_0(std::span<const float> values, std::span<std::uint8_t> block) {
  std::fill(block.begin(), block.end(), std::uint8_t{0});
  float largest = 0;
  for (const float value : values) largest = std::max(largest, std::fabs(value));
  const std::uint16_t half = float_to_half(largest / kCodeLimit);
  if (!half_is_finite(half)) return false;
  std::memcpy(block.data(), &half, sizeof half);
  if (half == 0) return true;
  const float scale = half_to_float(half);
  for (std::size_t i = 0; i < values.size(); ++i) {
    const float code = std::clamp(std::nearbyint(values[i] / scale), -kCodeLimit, kCodeLimit);
    block[2 + i] = static_cast<std::uint8_t>(static_cast<std::int8_t>(code));
  }
  return true;
}

ByteView row_blocks(const GgufTensor& tensor, std::int64_t row, Range groups, Bytes& scratch) {
  const auto count = static_cast<std::size_t>(groups.size());
  if (!is_float_type(tensor.type)) {
    const std::size_t bytes = file_block_bytes(tensor.type);
    return tensor.data.subspan(static_cast<std::uint64_t>(row) * tensor.row_bytes +
                                   static_cast<std::size_t>(groups.begin) * bytes,
                               count * bytes);
  }
  constexpr std::size_t kBytes = block_bytes(WeightFormat::kQ8_0);
  scratch.resize(count * kBytes);
  std::array<float, kGroupSize> values;
  for (std::size_t i = 0; i < count; ++i) {
    const auto group = group_of(tensor, row, groups.begin + static_cast<std::int64_t>(i), values);
    CHECK(quantize_q8_0(group, std::span(scratch).subspan(i * kBytes, kBytes)),
          "row_blocks of a row that was not checked");
  }
  return scratch;
}

Status check_row(const GgufTensor& tensor, std::int64_t row) {
  if (is_float_type(tensor.type)) return check_float_row(tensor, row);
  const std::size_t bytes = file_block_bytes(tensor.type);
  const ByteView data =
      tensor.data.subspan(static_cast<std::uint64_t>(row) * tensor.row_bytes, tensor.row_bytes);
  for (std::size_t i = 0; i < data.size(); i += bytes) {
    if (!half_is_finite(load_le<std::uint16_t>(data.data() + i))) {
      return bad_row(tensor, row, "a scale is not finite");
    }
    if (tensor.type == GgufTensorType::kQ4_1 &&
        !half_is_finite(load_le<std::uint16_t>(data.data() + i + 2))) {
      return bad_row(tensor, row, "a minimum is not finite");
    }
  }
  return {};
}

}  // namespace lockstep
