// Layout `p16` from GGUF blocks and back: a pure permutation of bytes, one panel of 16 rows at a
// time.
#pragma once

#include <array>
#include <cstdint>
#include <span>

#include "base/bytes.h"
#include "base/p16.h"

namespace lockstep {

// One row's blocks, group after group; empty for a row that only pads.
using PanelRows = std::array<ByteView, kPanelRows>;

// Writes num_groups groups of one panel. Requires: every row that is not empty holds num_groups
// blocks, and `out` holds num_groups * p16_group_bytes(format) bytes.
void pack_panel(WeightFormat format, const PanelRows& rows, int num_groups,
                std::span<std::uint8_t> out);

// Writes the blocks of row `row` of a packed panel.
void unpack_row(WeightFormat format, ByteView panel, int row, std::span<std::uint8_t> blocks);

// Whether row `row` of a packed panel is what a padding row must be.
bool is_padding_row(WeightFormat format, ByteView panel, int row);

}  // namespace lockstep
