// The keys and values of one rank on a device: a cuda::KvTiles for every layer.
#pragma once

#include <vector>

#include "worker/device/device_memory.h"
#include "worker/device/device_shapes.h"

namespace lockstep {

std::vector<cuda::KvTiles> lay_out_cache(DeviceArena& arena, const DeviceShapes& shapes,
                                         int num_blocks);

}  // namespace lockstep
