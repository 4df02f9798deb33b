// What a step tells a device: one run of bytes, uploaded at once.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "kernels/device_ops.h"
#include "worker/device/device_shapes.h"
#include "worker/rope_table.h"
#include "worker/runner/step_batch.h"

namespace lockstep {

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
  int num_tiles = 0;
  int max_blocks = 0;  // Of 128 keys, of any token.
  bool split = false;  // Attention computes blocks of keys apart.

  std::vector<std::uint8_t> bytes;  // To be copied to `device`.

  // `device`: memory for them; `split_cells`: see StepWorkspace. Requires: rope has all positions.
  static StepTables make(const StepBatch& batch, const DeviceShapes& shapes, const RopeTable& rope,
                         std::uint8_t* device, int split_cells);
};

}  // namespace lockstep
