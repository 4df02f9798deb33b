// How much of a model one rank has on a device: reckoned from the manifest alone, before anything
// is read.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "sharding/store.h"

namespace lockstep {

struct DeviceShapes {
  const ModelConfig* model = nullptr;
  Range heads;
  Range kv_heads;
  Range vocab;
  int num_parts = 0;
  int qkv_columns = 0;     // Rows of all matrices of queries, keys and values, padded: the most of
                           // any layer.
  int attended_width = 0;  // heads.size() * head_size
  int gated_width = 0;     // Columns of the hidden layer, all parts.
  bool gates_apart = false;  // In some layer gate and up are two matrices.
  // Groups of each segment along K: of the hidden state, of what attention and feed-forward make.
  std::vector<int> hidden_segments;
  std::vector<int> attended_segments;
  std::vector<int> gated_segments;
  std::uint64_t weight_bytes = 0;    // Of matrices and norms in the device's order.
  std::uint64_t largest_tensor = 0;  // As it is stored: on the device while it is permuted.

  int padded_dim() const { return padded_rows(model->hidden_dim); }
  int vocab_columns() const { return padded_rows(vocab.size()); }
  static int padded_rows(int rows) { return (rows + kPanelRows - 1) / kPanelRows * kPanelRows; }
};

// Of the run of parts. `manifest` must outlive what it returns.
DeviceShapes device_shapes(const Manifest& manifest, Range run);

// What a step may bring at most.
struct StepLimits {
  int tokens = 0;
  std::uint32_t context_tokens = 0;  // Of one sequence.
  int num_blocks = 0;                // KV blocks; the device has one more, for padding.
  std::size_t gathered = 0;          // Floats of sums of other ranks that come to this one.
};

// Bytes that a rank needs on its device.
struct DeviceNeeds {
  std::uint64_t weights = 0;
  std::uint64_t cache = 0;
  std::uint64_t workspace = 0;

  std::uint64_t total() const { return weights + cache + workspace; }
};

DeviceNeeds device_needs(const DeviceShapes& shapes, const StepLimits& limits);

}  // namespace lockstep
