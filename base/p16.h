// The constants of weight layout `p16` (store design, "Layout p16"): panels of 16 rows; per panel,
// for each group of 32 along K: 16 binary16 scales, 16 binary16 minimums (q4_1 only), then the
// codes in blocks of 64 bytes.
//
//   4-bit, four blocks: byte 4*row + i of block j holds k = 4j + i in its low nibble, k = 16 + 4j +
//   i
//     in its high one
//   8-bit, eight blocks: byte 4*row + i of block j holds k = 4j + i, sign bit flipped
//
// Rows are padded to 16 and K to 32, with codes of value zero and d = m = 0.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string_view>

namespace lockstep {

enum class WeightFormat : std::uint8_t { kQ4_0, kQ4_1, kQ8_0, kF32 };

// "q4_0", "q4_1", "q8_0", "f32".
constexpr std::string_view weight_format_name(WeightFormat format) {
  switch (format) {
    case WeightFormat::kQ4_0:
      return "q4_0";
    case WeightFormat::kQ4_1:
      return "q4_1";
    case WeightFormat::kQ8_0:
      return "q8_0";
    case WeightFormat::kF32:
      return "f32";
  }
  return "";
}

constexpr std::optional<WeightFormat> weight_format_from_name(std::string_view name) {
  for (const WeightFormat format :
       {WeightFormat::kQ4_0, WeightFormat::kQ4_1, WeightFormat::kQ8_0, WeightFormat::kF32}) {
    if (weight_format_name(format) == name) return format;
  }
  return std::nullopt;
}

inline constexpr int kPanelRows = 16;
inline constexpr int kGroupSize = 32;       // Elements along K that share one scale.
inline constexpr int kCodeBlockBytes = 64;  // 16 rows of 4 bytes.
inline constexpr int kFoldSegment =
    1024;  // Elements of a segment in a matrix that is not cut along K.

// Bytes of one group of one panel: scales, minimums, codes. Requires: format != kF32.
constexpr std::size_t p16_group_bytes(WeightFormat format) {
  constexpr std::size_t kHalves = 2 * kPanelRows;  // 16 binary16 numbers.
  switch (format) {
    case WeightFormat::kQ4_0:
      return kHalves + 4 * kCodeBlockBytes;
    case WeightFormat::kQ4_1:
      return 2 * kHalves + 4 * kCodeBlockBytes;
    case WeightFormat::kQ8_0:
      return kHalves + 8 * kCodeBlockBytes;
    case WeightFormat::kF32:
      return 0;
  }
  return 0;
}

// Offset of the codes in a group: behind the scales and minimums.
constexpr std::size_t p16_codes_offset(WeightFormat format) {
  return format == WeightFormat::kQ4_1 ? 4 * kPanelRows : 2 * kPanelRows;
}

// Bytes of a whole matrix. Requires: rows, k >= 0 and small enough for the product (callers bound
// them first).
constexpr std::size_t p16_bytes(WeightFormat format, std::int64_t rows, std::int64_t k) {
  const auto panels = static_cast<std::size_t>((rows + kPanelRows - 1) / kPanelRows);
  const auto groups = static_cast<std::size_t>((k + kGroupSize - 1) / kGroupSize);
  return panels * groups * p16_group_bytes(format);
}

}  // namespace lockstep
