// Rows of GGUF tensors as the store holds them: blocks of q4_0, q4_1 and q8_0 as they are; floats
// as q8_0 blocks (numerics, "Words") or, for vectors, as binary32.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "base/p16.h"
#include "base/result.h"
#include "sharding/gguf/gguf_file.h"
#include "sharding/part.h"

namespace lockstep {

constexpr bool is_float_type(GgufTensorType type) {
  return type == GgufTensorType::kF32 || type == GgufTensorType::kF16 ||
         type == GgufTensorType::kBf16;
}

// Bytes of one GGUF block of 32 elements. Requires: format != kF32.
constexpr std::size_t block_bytes(WeightFormat format) {
  switch (format) {
    case WeightFormat::kQ4_0:
      return 18;
    case WeightFormat::kQ4_1:
      return 20;
    case WeightFormat::kQ8_0:
      return 34;
    case WeightFormat::kF32:
      return 0;
  }
  return 0;
}

// Widens out.size() elements of a row from `column` on. Requires: a float type, and the range lies
// in the row.
void read_floats(const GgufTensor& tensor, std::int64_t row, std::int64_t column,
                 std::span<float> out);

// Quantizes up to 32 finite values (the rest are zeros) into one q8_0 block. False when the scale
// is infinite.
bool quantize_q8_0(std::span<const float> values, std::span<std::uint8_t> block);

// Groups [first, first + count) of a matrix row as GGUF blocks: a view into the file, or into
// `scratch`. Requires: the row has passed check_row.
ByteView row_blocks(const GgufTensor& tensor, std::int64_t row, Range groups, Bytes& scratch);

// Whether all scales, minimums and floats of a row are finite, and floats have a finite q8_0 scale.
// The error names the tensor and the row.
Status check_row(const GgufTensor& tensor, std::int64_t row);

}  // namespace lockstep
