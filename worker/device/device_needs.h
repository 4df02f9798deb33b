// Whether a rank's share of a model fits its device: found out before a byte of it is read.
#pragma once

#include "base/result.h"
#include "sharding/store.h"
#include "worker/device/device_shapes.h"
#include "worker/model_runner.h"

namespace lockstep {

StepLimits limits_of(const RunnerConfig& config, const DeviceShapes& shapes);

// kExhausted, with the figures, when it does not fit; the device's free memory is shared by
// `sharers` ranks.
Status check_device_memory(const Manifest& manifest, Range run, const RunnerConfig& config,
                           int sharers);

}  // namespace lockstep
