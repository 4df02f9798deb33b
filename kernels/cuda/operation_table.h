// The launchers as entries of a DeviceTable.
#pragma once

#include "kernels/cuda/launchers.h"
#include "kernels/device_table.h"

namespace lockstep::cuda {

template <auto kLauncher, typename Args>
DeviceError launch_operation(const Args& args, DeviceStream stream) {
  return static_cast<DeviceError>(kLauncher(args, static_cast<Stream>(stream)));
}

inline constexpr DeviceOperations kDeviceOperations = {
    .permute_weights = launch_operation<permute_weights>,
    .embed = launch_operation<embed>,
    .quantize = launch_operation<quantize>,
    .linear = launch_operation<linear>,
    .prepare_attention = launch_operation<prepare_attention>,
    .attention = launch_operation<attention>,
    .swiglu = launch_operation<swiglu>,
    .fold = launch_operation<fold>,
    .argmax = launch_operation<argmax>,
};

}  // namespace lockstep::cuda
