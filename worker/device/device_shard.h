// The weights of one rank on a device, in its own order: the parts of a run become one matrix per
// operation, with a segment for each part where they are cut along K.
#pragma once

#include <span>
#include <vector>

#include "worker/device/device_memory.h"
#include "worker/device/device_shapes.h"
#include "worker/model_shard.h"

namespace lockstep {

// Matrices of queries, keys and values of one format, row by row.
struct DeviceProjection {
  cuda::WeightTiles matrix;
  int first_column = 0;  // Of what all projections of the layer write.
};

struct DeviceLayer {
  const float* attn_norm = nullptr;
  const float* ffn_norm = nullptr;
  std::vector<DeviceProjection> projections;
  // [heads + 2 * kv heads]: the column of each query head, then of keys, then of values.
  const std::int32_t* columns = nullptr;
  cuda::WeightTiles attn_output;
  cuda::WeightTiles gate;  // With `fused`, gate and up, panels alternating.
  cuda::WeightTiles up;
  bool fused = false;
  cuda::WeightTiles ffn_down;
};

class DeviceShard {
 public:
  // Copies and permutes. `staging`: shapes.largest_tensor bytes of the device, used until this
  // returns.
  static Result<DeviceShard> load(const cuda::DeviceTable& device, cuda::DeviceStream stream,
                                  const ModelShard& shard, const DeviceShapes& shapes,
                                  std::uint8_t* staging);

  const DeviceLayer& layer(int index) const { return layers_[static_cast<std::size_t>(index)]; }
  const cuda::WeightTiles& embedding() const { return embedding_; }
  const cuda::WeightTiles& head() const { return head_; }
  const float* output_norm() const { return output_norm_; }
  const cuda::Segments& hidden_segments() const { return hidden_segments_; }
  const cuda::Segments& attended_segments() const { return attended_segments_; }
  const cuda::Segments& gated_segments() const { return gated_segments_; }

 private:
  DeviceMemory memory_;
  std::vector<DeviceLayer> layers_;
  cuda::WeightTiles embedding_;
  cuda::WeightTiles head_;
  const float* output_norm_ = nullptr;
  cuda::Segments hidden_segments_;
  cuda::Segments attended_segments_;
  cuda::Segments gated_segments_;

  friend class DeviceLoader;
};

}  // namespace lockstep
