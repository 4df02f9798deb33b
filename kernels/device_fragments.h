// Where the operands of quantized matmuls lie in the memory of a device: in the order in which the
// lanes of a warp hold them for mma.m16n8k32, so that every load is 16 bytes, coalesced, and
// nothing is shuffled on its way.
//
// Along K both operands are cut into segments (numerics, "Words") and each segment into quads of
// four groups, the last one padded with zeros: a padded group adds fma(0, 0, acc), and acc is never
// -0, so it changes no bit. With g = lane / 4 and t = lane % 4:
//
// Weights, [panel][quad]: a quad is, of 16 rows,
//   [g] 16 bytes: the binary16 scales of the quad's groups of row g, then of row g + 8
//   the same of the minimums (q4_1 only)
//   4-bit: [2 pairs of groups][lane] 16 bytes: for each group of the pair the words of layout p16
//     of block t, row g and row g + 8: low nibbles are k = 4t + i, high ones 16 + 4t + i
//   8-bit: [group][lane] 16 bytes: row g and g + 8 of k = 4t + i, row g and g + 8 of 16 + 4t + i
//
// Activations, in tiles of 8 tokens (absent ones are 0):
//   codes [tile][group of a quad][lane], of token g: 16-bit: 16 bytes, high bytes of k = 4t + i and
//     16 + 4t + i, then low bytes; 8-bit: 8 bytes, k = 4t + i and 16 + 4t + i
//   sums [tile][group of a quad][8 tokens]
//   scales [tile][segment][8 tokens] (16-bit) or [tile][group of a quad][8 tokens] (8-bit)
#pragma once

#include <cstddef>
#include <cstdint>

#include "base/p16.h"

namespace lockstep::cuda {

inline constexpr int kQuadGroups = 4;
inline constexpr int kTileTokens = 8;

// How K is cut: a property of the stored model. All pointers are the device's.
struct Segments {
  const std::int32_t* first_group = nullptr;  // [count + 1]; of the matrix, without padding
  const std::int32_t* first_quad = nullptr;   // [count + 1]
  int count = 0;
  int quads = 0;  // In all: first_quad[count].
};

struct WeightTiles {
  std::uint8_t* data = nullptr;  // [panels][quads][weight_quad_bytes(format)]
  WeightFormat format = WeightFormat::kQ8_0;
  int rows = 0;  // Logical; 16 * panels() are stored.
  Segments segments;

  constexpr int panels() const { return (rows + kPanelRows - 1) / kPanelRows; }
};

struct ActivationTiles {
  std::uint8_t* codes = nullptr;
  std::int32_t* sums = nullptr;
  float* scales = nullptr;
  int num_tokens = 0;
  int bits = 16;
  Segments segments;

  constexpr int tiles() const { return (num_tokens + kTileTokens - 1) / kTileTokens; }
  constexpr int groups() const { return segments.quads * kQuadGroups; }  // Padded.
  constexpr int scale_runs() const { return bits == 16 ? segments.count : groups(); }
};

constexpr int weight_scale_bytes(WeightFormat format) {
  return format == WeightFormat::kQ4_1 ? 256 : 128;
}
constexpr int weight_quad_bytes(WeightFormat format) {
  return weight_scale_bytes(format) + (format == WeightFormat::kQ8_0 ? 2048 : 1024);
}
// Bytes of a lane's share of a group of activations.
constexpr int activation_lane_bytes(int bits) { return bits == 16 ? 16 : 8; }

// What is subtracted from stored codes.
constexpr int code_offset(WeightFormat format) {
  return format == WeightFormat::kQ4_0 ? 8 : (format == WeightFormat::kQ8_0 ? 128 : 0);
}

// Sizes of what the caller allocates.
constexpr std::size_t weight_bytes(const WeightTiles& weights) {
  return static_cast<std::size_t>(weights.panels()) *
         static_cast<std::size_t>(weights.segments.quads) *
         static_cast<std::size_t>(weight_quad_bytes(weights.format));
}
constexpr std::size_t activation_code_bytes(const ActivationTiles& tiles) {
  return static_cast<std::size_t>(tiles.tiles()) * static_cast<std::size_t>(tiles.groups()) *
         static_cast<std::size_t>(32 * activation_lane_bytes(tiles.bits));
}
constexpr std::size_t activation_sums(const ActivationTiles& tiles) {
  return static_cast<std::size_t>(tiles.tiles()) * static_cast<std::size_t>(tiles.groups()) *
         kTileTokens;
}
constexpr std::size_t activation_scales(const ActivationTiles& tiles) {
  return static_cast<std::size_t>(tiles.tiles()) * static_cast<std::size_t>(tiles.scale_runs()) *
         kTileTokens;
}

}  // namespace lockstep::cuda
