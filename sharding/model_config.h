// What a stored model is: its architecture, as the engine needs it, and its profile.
#pragma once

#include <cstdint>
#include <vector>

namespace lockstep {

// Bounds that import and manifest parsing enforce, so that products of two dimensions fit 64 bits
// with room and every attention sum is exact in int32 (numerics, "Profile").
inline constexpr int kMaxLayers = 1024;
inline constexpr int kMaxDim = 1 << 20;
inline constexpr int kMaxHeads = 4096;
inline constexpr int kMaxHeadSize = 512;
inline constexpr int kMaxVocab = 1 << 22;
inline constexpr int kMaxContext = 1 << 24;

struct ModelConfig {
  int num_layers = 0;
  int hidden_dim = 0;
  int ffn_dim = 0;  // As in the source; the stored width is rounded up to a multiple of 32.
  int num_heads = 0;
  int num_kv_heads = 0;  // Divides num_heads.
  int head_size = 0;
  int rotary_dims = 0;  // Even, <= head_size; the rest of a head passes RoPE through.
  int vocab_size = 0;
  int context_length = 0;  // Tokens.
  float rms_epsilon = 0;
  bool tied_head = false;                // The output head is the embedding.
  std::vector<double> rope_frequencies;  // [rotary_dims / 2]; f_i of numerics, "RoPE".
  int activation_bits = 16;              // 16 or 8.
  int kv_bits = 16;                      // 16 or 8.

  int query_group() const { return num_heads / num_kv_heads; }  // Query heads per key/value head.
};

}  // namespace lockstep
