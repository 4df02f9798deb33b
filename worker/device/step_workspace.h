// What lies on a device between the operations of a step, sized once for the largest step.
#pragma once

#include "kernels/device_ops.h"
#include "worker/device/device_memory.h"
#include "worker/device/device_shapes.h"

namespace lockstep {

inline constexpr int kKeyBlock = 128;        // Numerics, "Attention".
inline constexpr int kHeadRows = 32;         // Logits are computed for so many tokens at a time.
inline constexpr int kMostSplitTokens = 32;  // With more, attention fills a device by itself.

struct StepWorkspace {
  float* hidden = nullptr;     // [tokens, hidden_dim]
  float* projected = nullptr;  // [tokens, qkv_columns]
  float* attended = nullptr;   // [tokens, attended_width]
  float* gated = nullptr;      // [tokens, gated_width]
  float* gate = nullptr;       // The same shape; where gate and up are apart.
  float* up = nullptr;
  float* sums = nullptr;      // [parts, tokens, padded_dim]
  float* folded = nullptr;    // [tokens, padded_dim]
  float* gathered = nullptr;  // [limits.gathered]
  float* logits = nullptr;    // [kHeadRows, vocab_columns]
  cuda::ActivationTiles hidden_codes;
  cuda::ActivationTiles attended_codes;
  cuda::ActivationTiles gated_codes;
  cuda::ActivationTiles head_codes;  // 16 bits in every profile.
  cuda::QueryCodes queries;
  float* block_sums = nullptr;    // [split_cells, heads, head_size]: of tokens times blocks of keys
  float* block_states = nullptr;  // [split_cells, heads, 2]
  int split_cells = 0;
  std::int32_t spare_block = 0;    // Of the cache, for padding.
  std::uint32_t* flags = nullptr;  // [sequences and one for padding]
  std::uint8_t* tables = nullptr;  // What the host uploads for a step.
  std::size_t table_bytes = 0;

  static StepWorkspace lay_out(DeviceArena& arena, const DeviceShapes& shapes,
                               const StepLimits& limits);
};

// Rows of a tile of attention's query rows that one token can have.
int rows_of_token(const DeviceShapes& shapes);

}  // namespace lockstep
