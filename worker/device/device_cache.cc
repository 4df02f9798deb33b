#include "worker/device/device_cache.h"

#include "kernels/device_kv_tiles.h"

namespace lockstep {

std::vector<cuda::KvTiles> lay_out_cache(DeviceArena& arena, const DeviceShapes& shapes,
                                         const StepLimits& limits) {
  const ModelConfig& model = *shapes.model;
  const auto tiles = (static_cast<std::size_t>(limits.num_blocks) + 1) *
                     static_cast<std::size_t>(shapes.kv_heads.size());
  const std::size_t bytes = tiles * cuda::kv_tile_bytes(model.head_size, model.kv_bits);
  std::vector<cuda::KvTiles> layers;
  for (int layer = 0; layer < model.num_layers; ++layer) {
    cuda::KvTiles cache;
    cache.keys = arena.take<std::uint8_t>(bytes);
    cache.values = arena.take<std::uint8_t>(bytes);
    cache.key_scales = arena.take<float>(tiles * cuda::kKvSlots);
    cache.value_scales = arena.take<float>(tiles * cuda::kKvSlots);
    cache.num_kv_heads = shapes.kv_heads.size();
    cache.head_size = model.head_size;
    cache.kv_bits = model.kv_bits;
    layers.push_back(cache);
  }
  return layers;
}

}  // namespace lockstep
