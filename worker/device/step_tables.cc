#include "worker/device/step_tables.h"

#include <algorithm>
#include <cstring>

#include "base/checked.h"
#include "worker/device/step_workspace.h"

namespace lockstep {
namespace {

constexpr int kKeyBlock = 128;  // Numerics, "Attention".

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

}  // namespace

StepTables StepTables::make(const StepBatch& batch, const DeviceShapes& shapes,
                            const RopeTable& rope, std::uint8_t* device, int split_cells) {
  StepTables made;
  Staging staging(made.bytes, device);
  std::vector<std::int32_t> block_tables;
  std::vector<std::int32_t> starts_of_sequence;
  for (const auto* table : batch.tables) {
    starts_of_sequence.push_back(static_cast<std::int32_t>(block_tables.size()));
    block_tables.insert(block_tables.end(), table->begin(), table->end());
  }
  std::vector<std::int32_t> tokens, sequences, positions, starts;
  std::vector<float> cosines, sines;
  int last_position = 0;
  for (const BatchToken& token : batch.tokens) {
    tokens.push_back(static_cast<std::int32_t>(token.token) - shapes.vocab.begin);
    sequences.push_back(token.sequence);
    positions.push_back(static_cast<std::int32_t>(token.position));
    starts.push_back(starts_of_sequence[static_cast<std::size_t>(token.sequence)]);
    last_position = std::max(last_position, positions.back());
    cosines.insert(cosines.end(), rope.cosines(token.position),
                   rope.cosines(token.position) + rope.half());
    sines.insert(sines.end(), rope.sines(token.position), rope.sines(token.position) + rope.half());
  }
  std::vector<std::int32_t> logit_sequences;
  for (const int token : batch.logit_tokens) {
    logit_sequences.push_back(sequences[static_cast<std::size_t>(token)]);
  }
  made.max_blocks = last_position / kKeyBlock + 1;
  const auto count = static_cast<int>(tokens.size());
  made.split =
      made.max_blocks > 1 && count <= std::min(kMostSplitTokens, split_cells / made.max_blocks);
  const auto tiles = tiles_of(batch, rows_of_token(shapes),
                              made.split ? cuda::kSplitTileRows : cuda::kAttentionTileRows);
  made.num_tiles = static_cast<int>(tiles.size());
  made.tokens = staging.put(tokens);
  made.sequences = staging.put(sequences);
  made.positions = {staging.put(positions), staging.put(starts), staging.put(block_tables)};
  made.cosines = staging.put(cosines);
  made.sines = staging.put(sines);
  made.tiles = staging.put(tiles);
  made.logit_rows = staging.put(batch.logit_tokens);
  made.logit_sequences = staging.put(logit_sequences);
  return made;
}

}  // namespace lockstep
