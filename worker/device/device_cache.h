// The keys and values of one rank on a device: a cuda::KvTiles for every layer, with a block more
// than the limits say: number limits.num_blocks, where padding goes.
#pragma once

#include <vector>

#include "worker/device/device_memory.h"
#include "worker/device/device_shapes.h"

namespace lockstep {

std::vector<cuda::KvTiles> lay_out_cache(DeviceArena& arena, const DeviceShapes& shapes,
                                         const StepLimits& limits);

}  // namespace lockstep
