// What a step tells a device: one run of bytes, uploaded at once.
#pragma once

#include <compare>
#include <cstdint>
#include <span>
#include <vector>

#include "kernels/device_ops.h"
#include "worker/device/device_shapes.h"
#include "worker/device/step_workspace.h"
#include "worker/rope_table.h"
#include "worker/runner/step_batch.h"

namespace lockstep {

// What the arguments of a step's layers depend on: with equal shapes they are equal, wherever the
// step's tokens are.
struct StepShape {
  int tokens = 0;  // With padding behind those of the batch: it writes into the spare KV block, and
                   // nobody reads what becomes of it.
  int num_tiles = 0;   // Likewise: tiles without tokens behind the others.
  int max_blocks = 0;  // Of 128 keys, of any token; at least.
  bool split = false;  // Attention computes blocks of keys apart.

  auto operator<=>(const StepShape&) const = default;

  // `rounded`: up to one of few shapes, if the batch is one of few tokens. `split_cells`: see
  // StepWorkspace.
  static StepShape of(const StepBatch& batch, const DeviceShapes& shapes, const StepLimits& limits,
                      int split_cells, bool rounded);
};

// Steps of more tokens are never rounded: launching their operations takes less time than running
// them.
inline constexpr int kMostRoundedTokens = 32;

struct StepTables {
  // Pointers are the device's.
  const std::int32_t* tokens = nullptr;     // [num_tokens]: rows of the embedding
  const std::int32_t* sequences = nullptr;  // [num_tokens]
  cuda::BatchPositions positions{};
  const float* cosines = nullptr;  // [num_tokens, rotary_dims / 2]
  const float* sines = nullptr;
  const cuda::AttentionTile* tiles = nullptr;
  const std::int32_t* logit_rows = nullptr;       // [logit tokens]: which token each is ...
  const std::int32_t* logit_sequences = nullptr;  // ... and its sequence.
  StepShape shape;

  std::vector<std::uint8_t> bytes;  // To be copied to workspace.tables.

  // Requires: rope has all positions.
  static StepTables make(const StepBatch& batch, const DeviceShapes& shapes, const RopeTable& rope,
                         const StepWorkspace& workspace, const StepShape& shape);
};

}  // namespace lockstep
