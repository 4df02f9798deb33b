#include "sharding/store/p16_pack.h"

#include <cstring>

#include "base/check.h"
#include "sharding/gguf/float_row.h"

namespace lockstep {
namespace {

constexpr std::size_t kHalf = 2;  // Bytes of a binary16.
constexpr std::size_t kRowCodes =
    kCodeBlockBytes / kPanelRows;  // Bytes of one row in a block of codes.

// Binary16 fields in front of the codes of a GGUF block.
constexpr std::size_t header_bytes(WeightFormat format) {
  return format == WeightFormat::kQ4_1 ? 2 * kHalf : kHalf;
}

constexpr std::size_t num_code_blocks(WeightFormat format) {
  return format == WeightFormat::kQ8_0 ? 8 : 4;
}

// A 32-bit run of codes as stored; q8_0 flips the sign bits.
std::uint32_t stored_codes(WeightFormat format, std::uint32_t codes) {
  return format == WeightFormat::kQ8_0 ? codes ^ 0x80808080U : codes;
}

// Codes of value zero, as stored.
std::uint32_t zero_codes(WeightFormat format) {
  switch (format) {
    case WeightFormat::kQ4_0:
      return 0x88888888U;
    case WeightFormat::kQ8_0:
      return 0x80808080U;
    default:
      return 0;
  }
}

void pack_group_row(WeightFormat format, const std::uint8_t* block, std::size_t row,
                    std::uint8_t* group) {
  const std::size_t header = header_bytes(format);
  for (std::size_t field = 0; field < header / kHalf; ++field) {
    std::memcpy(group + field * kHalf * kPanelRows + row * kHalf, block + field * kHalf, kHalf);
  }
  std::uint8_t* codes = group + p16_codes_offset(format) + row * kRowCodes;
  for (std::size_t j = 0; j < num_code_blocks(format); ++j) {
    const std::uint32_t word =
        stored_codes(format, load_le<std::uint32_t>(block + header + j * kRowCodes));
    std::memcpy(codes + j * kCodeBlockBytes, &word, sizeof word);
  }
}

void pad_group_row(WeightFormat format, std::size_t row, std::uint8_t* group) {
  for (std::size_t field = 0; field < header_bytes(format) / kHalf; ++field) {
    std::memset(group + field * kHalf * kPanelRows + row * kHalf, 0, kHalf);
  }
  const std::uint32_t word = zero_codes(format);
  std::uint8_t* codes = group + p16_codes_offset(format) + row * kRowCodes;
  for (std::size_t j = 0; j < num_code_blocks(format); ++j) {
    std::memcpy(codes + j * kCodeBlockBytes, &word, sizeof word);
  }
}

void unpack_group_row(WeightFormat format, const std::uint8_t* group, std::size_t row,
                      std::uint8_t* block) {
  const std::size_t header = header_bytes(format);
  for (std::size_t field = 0; field < header / kHalf; ++field) {
    std::memcpy(block + field * kHalf, group + field * kHalf * kPanelRows + row * kHalf, kHalf);
  }
  const std::uint8_t* codes = group + p16_codes_offset(format) + row * kRowCodes;
  for (std::size_t j = 0; j < num_code_blocks(format); ++j) {
    const std::uint32_t word =
        stored_codes(format, load_le<std::uint32_t>(codes + j * kCodeBlockBytes));
    std::memcpy(block + header + j * kRowCodes, &word, sizeof word);
  }
}

}  // namespace

void pack_panel(WeightFormat format, const PanelRows& rows, int num_groups,
                std::span<std::uint8_t> out) {
  const std::size_t group_bytes = p16_group_bytes(format);
  const std::size_t block = block_bytes(format);
  CHECK(out.size() == static_cast<std::size_t>(num_groups) * group_bytes, "panel of another size");
  for (std::size_t g = 0; g < static_cast<std::size_t>(num_groups); ++g) {
    std::uint8_t* group = out.data() + g * group_bytes;
    for (std::size_t row = 0; row < rows.size(); ++row) {
      if (rows[row].empty()) {
        pad_group_row(format, row, group);
      } else {
        pack_group_row(format, rows[row].data() + g * block, row, group);
      }
    }
  }
}

void unpack_row(WeightFormat format, ByteView panel, int row, std::span<std::uint8_t> blocks) {
  const std::size_t group_bytes = p16_group_bytes(format);
  const std::size_t block = block_bytes(format);
  CHECK(panel.size() / group_bytes == blocks.size() / block, "panel and row of different lengths");
  for (std::size_t g = 0; g < panel.size() / group_bytes; ++g) {
    unpack_group_row(format, panel.data() + g * group_bytes, static_cast<std::size_t>(row),
                     blocks.data() + g * block);
  }
}

bool is_padding_row(WeightFormat format, ByteView panel, int row) {
  const std::size_t group_bytes = p16_group_bytes(format);
  std::array<std::uint8_t, 34> block{};
  std::array<std::uint8_t, 34> expected{};
  const std::size_t header = header_bytes(format);
  for (std::size_t j = 0; j < num_code_blocks(format); ++j) {
    const std::uint32_t word = stored_codes(format, zero_codes(format));
    std::memcpy(expected.data() + header + j * kRowCodes, &word, sizeof word);
  }
  for (std::size_t g = 0; g < panel.size() / group_bytes; ++g) {
    unpack_group_row(format, panel.data() + g * group_bytes, static_cast<std::size_t>(row),
                     block.data());
    if (block != expected) return false;
  }
  return true;
}

}  // namespace lockstep
