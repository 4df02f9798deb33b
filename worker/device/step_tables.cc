#include "worker/device/step_tables.h"

#include <algorithm>
#include <bit>
#include <cstring>

#include "base/checked.h"

namespace lockstep {
namespace {

// Appends values, aligned, and says where on the device they will be.
class Staging {
 public:
  Staging(std::vector<std::uint8_t>& bytes, std::uint8_t* device)
      : bytes_(bytes), device_(device) {}

  template <typename T>
  const T* put(const std::vector<T>& values) {
    constexpr std::size_t kAlignment = 256;
    const std::size_t at = round_up(bytes_.size(), kAlignment);
    bytes_.resize(at + values.size() * sizeof(T));
    if (!values.empty()) std::memcpy(bytes_.data() + at, values.data(), values.size() * sizeof(T));
    return reinterpret_cast<const T*>(device_ + at);
  }

 private:
  std::vector<std::uint8_t>& bytes_;
  std::uint8_t* device_;
};

// Consecutive tokens of one sequence read the same keys; their query rows are cut into tiles.
std::vector<cuda::AttentionTile> tiles_of(const StepBatch& batch, int rows_of_token, int rows) {
  std::vector<cuda::AttentionTile> tiles;
  const auto tokens = static_cast<int>(batch.tokens.size());
  const auto sequence = [&](int t) { return batch.tokens[static_cast<std::size_t>(t)].sequence; };
  for (int begin = 0; begin < tokens;) {
    int end = begin + 1;
    while (end < tokens && sequence(end) == sequence(begin)) ++end;
    for (int row = 0; row < (end - begin) * rows_of_token; row += rows) {
      tiles.push_back({begin, end - begin, row});
    }
    begin = end;
  }
  return tiles;
}

int tile_rows(bool split) { return split ? cuda::kSplitTileRows : cuda::kAttentionTileRows; }

}  // namespace

StepShape StepShape::of(const StepBatch& batch, const DeviceShapes& shapes,
                        const StepLimits& limits, int split_cells, bool rounded) {
  const auto count = static_cast<int>(batch.tokens.size());
  std::uint32_t last_position = 0;
  for (const BatchToken& token : batch.tokens) {
    last_position = std::max(last_position, token.position);
  }
  StepShape shape;
  shape.tokens = count;
  shape.max_blocks = static_cast<int>(last_position) / kKeyBlock + 1;
  rounded = rounded && count <= kMostRoundedTokens;
  if (rounded) {
    constexpr int kTile = 8;  // Of a matrix instruction; fewer tokens cost as much.
    shape.tokens = count < kTile ? static_cast<int>(std::bit_ceil(static_cast<unsigned>(count)))
                                 : round_up(count, kTile);
    shape.tokens = std::min(shape.tokens, limits.tokens);
    const auto most_blocks =
        static_cast<int>(ceil_div<std::uint32_t>(limits.context_tokens, kKeyBlock));
    shape.max_blocks = std::min(
        static_cast<int>(std::bit_ceil(static_cast<unsigned>(shape.max_blocks))), most_blocks);
  }
  shape.split = shape.max_blocks > 1 &&
                shape.tokens <= std::min(kMostSplitTokens, split_cells / shape.max_blocks);
  const int rows = tile_rows(shape.split);
  const int of_token = rows_of_token(shapes);
  shape.num_tiles = rounded ? shape.tokens * ceil_div(of_token, rows)
                            : static_cast<int>(tiles_of(batch, of_token, rows).size());
  return shape;
}

StepTables StepTables::make(const StepBatch& batch, const DeviceShapes& shapes,
                            const RopeTable& rope, const StepWorkspace& workspace,
                            const StepShape& shape) {
  StepTables made;
  made.shape = shape;
  Staging staging(made.bytes, workspace.tables);
  std::vector<std::int32_t> block_tables;
  std::vector<std::int32_t> starts_of_sequence;
  for (const auto* table : batch.tables) {
    starts_of_sequence.push_back(static_cast<std::int32_t>(block_tables.size()));
    block_tables.insert(block_tables.end(), table->begin(), table->end());
  }
  // What padding is of: a sequence of its own, in the spare block.
  const auto padding_sequence = static_cast<std::int32_t>(batch.tables.size());
  starts_of_sequence.push_back(static_cast<std::int32_t>(block_tables.size()));
  block_tables.push_back(workspace.spare_block);
  std::vector<std::int32_t> tokens, sequences, positions, starts;
  std::vector<float> cosines, sines;
  const auto put_token = [&](std::int32_t row, std::int32_t sequence, std::uint32_t position) {
    tokens.push_back(row);
    sequences.push_back(sequence);
    positions.push_back(static_cast<std::int32_t>(position));
    starts.push_back(starts_of_sequence[static_cast<std::size_t>(sequence)]);
    cosines.insert(cosines.end(), rope.cosines(position), rope.cosines(position) + rope.half());
    sines.insert(sines.end(), rope.sines(position), rope.sines(position) + rope.half());
  };
  for (const BatchToken& token : batch.tokens) {
    put_token(static_cast<std::int32_t>(token.token) - shapes.vocab.begin, token.sequence,
              token.position);
  }
  while (tokens.size() < static_cast<std::size_t>(shape.tokens)) put_token(0, padding_sequence, 0);
  std::vector<std::int32_t> logit_rows(batch.logit_tokens.begin(), batch.logit_tokens.end());
  std::vector<std::int32_t> logit_sequences;
  for (const std::int32_t token : logit_rows) {
    logit_sequences.push_back(sequences[static_cast<std::size_t>(token)]);
  }
  logit_rows.resize(tokens.size());
  logit_sequences.resize(tokens.size());
  auto tiles = tiles_of(batch, rows_of_token(shapes), tile_rows(shape.split));
  tiles.resize(static_cast<std::size_t>(shape.num_tiles));
  made.tokens = staging.put(tokens);
  made.sequences = staging.put(sequences);
  made.positions.positions = staging.put(positions);
  made.positions.table_starts = staging.put(starts);
  made.cosines = staging.put(cosines);
  made.sines = staging.put(sines);
  made.tiles = staging.put(tiles);
  made.logit_rows = staging.put(logit_rows);
  made.logit_sequences = staging.put(logit_sequences);
  // The last, because the shape does not say how long it is.
  made.positions.tables = staging.put(block_tables);
  return made;
}

}  // namespace lockstep
