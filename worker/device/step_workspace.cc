#include "worker/device/step_workspace.h"

#include <algorithm>

#include "base/checked.h"
#include "kernels/device_kv_tiles.h"
#include "scheduler/step_plan.h"

namespace lockstep {
namespace {

constexpr int kMostSplitCells = 4096;  // Tokens times blocks of keys.

cuda::ActivationTiles take_codes(DeviceArena& arena, const std::vector<int>& segments, int tokens,
                                 int bits) {
  cuda::ActivationTiles codes;
  codes.num_tokens = tokens;
  codes.bits = bits;
  codes.segments.count = static_cast<int>(segments.size());
  for (const int groups : segments) codes.segments.quads += ceil_div(groups, cuda::kQuadGroups);
  codes.codes = arena.take<std::uint8_t>(cuda::activation_code_bytes(codes));
  codes.sums = arena.take<std::int32_t>(cuda::activation_sums(codes));
  codes.scales = arena.take<float>(cuda::activation_scales(codes));
  return codes;
}

// Every table of StepTables, with what alignment adds.
std::size_t bytes_of_tables(const DeviceShapes& shapes, const StepLimits& limits) {
  constexpr std::size_t kTables = 12;
  constexpr std::size_t kAlignment = 256;
  const std::size_t tokens = size_of(limits.tokens);
  const std::size_t tiles = tokens * size_of(ceil_div(rows_of_token(shapes), cuda::kSplitTileRows));
  const std::size_t blocks =
      tokens * ceil_div<std::uint32_t>(limits.context_tokens, kBlockTokens) + 1;
  const std::size_t angles = tokens * size_of(shapes.model->rotary_dims);
  return (6 * tokens + blocks + angles) * 4 + tiles * sizeof(cuda::AttentionTile) +
         kTables * kAlignment;
}

}  // namespace

int rows_of_token(const DeviceShapes& shapes) {
  return std::min(shapes.heads.size(), shapes.model->query_group());
}

StepWorkspace StepWorkspace::lay_out(DeviceArena& arena, const DeviceShapes& shapes,
                                     const StepLimits& limits) {
  const ModelConfig& model = *shapes.model;
  const int tokens = limits.tokens;
  const int heads = shapes.heads.size();
  StepWorkspace w;
  w.hidden = arena.take<float>(size_of(tokens, model.hidden_dim));
  w.projected = arena.take<float>(size_of(tokens, shapes.qkv_columns));
  w.attended = arena.take<float>(size_of(tokens, shapes.attended_width));
  w.gated = arena.take<float>(size_of(tokens, shapes.gated_width));
  if (shapes.gates_apart) {
    w.gate = arena.take<float>(size_of(tokens, shapes.gated_width));
    w.up = arena.take<float>(size_of(tokens, shapes.gated_width));
  }
  w.sums = arena.take<float>(size_of(tokens, shapes.padded_dim()) * size_of(shapes.num_parts));
  w.folded = arena.take<float>(size_of(tokens, shapes.padded_dim()));
  w.gathered = arena.take<float>(limits.gathered);
  w.logits = arena.take<float>(size_of(kHeadRows, shapes.vocab_columns()));
  const int bits = model.activation_bits;
  w.hidden_codes = take_codes(arena, shapes.hidden_segments, tokens, bits);
  w.attended_codes = take_codes(arena, shapes.attended_segments, tokens, bits);
  w.gated_codes = take_codes(arena, shapes.gated_segments, tokens, bits);
  w.head_codes = take_codes(arena, shapes.hidden_segments, kHeadRows, 16);
  const std::size_t queries =
      size_of(tokens, heads) * size_of(cuda::kv_groups(model.head_size), kGroupSize);
  if (model.kv_bits == 16) w.queries.hi = arena.take<std::int8_t>(queries);
  w.queries.lo = arena.take<std::int8_t>(queries);
  w.queries.scales = arena.take<float>(size_of(tokens, heads));
  const auto blocks = static_cast<int>(ceil_div<std::uint32_t>(limits.context_tokens, kKeyBlock));
  const int wanted = std::min(tokens, kMostSplitTokens) * std::min(blocks, kMostSplitCells);
  w.split_cells = std::max(blocks, std::min(wanted, kMostSplitCells));
  w.block_sums = arena.take<float>(size_of(w.split_cells, heads) * size_of(model.head_size));
  w.block_states = arena.take<float>(size_of(w.split_cells, heads) * 2);
  w.flags = arena.take<std::uint32_t>(size_of(tokens + 1));
  w.spare_block = limits.num_blocks;
  w.table_bytes = bytes_of_tables(shapes, limits);
  w.tables = arena.take<std::uint8_t>(w.table_bytes);
  return w;
}

}  // namespace lockstep
