// Which device a rank computes on, by the name that was asked for.
#pragma once

#include <string>
#include <vector>

#include "worker/model_runner.h"

namespace lockstep {

struct DeviceChoice {
  std::string name;                           // "cuda", or the backend's.
  const kernels::Backend* backend = nullptr;  // Of the CPU; null with a device.
  DeviceTarget device;                        // Its table is null on the CPU.
  int num_devices = 0;                        // That the ranks of this node share out.
};

// "cuda": the device of this local rank, by lockstep-cuda.so at `plugin` (empty: beside the
// executable); kUnavailable says what is missing, library, driver or device. "auto": the same where
// there is one, else the fastest CPU backend, with a line in the log where only the driver or a
// device is missing. Other names are those of kernels::find_backend.
Result<DeviceChoice> choose_device(const std::string& name, const std::string& plugin,
                                   int local_rank);

// The devices that "cuda" could take; kUnavailable as above.
Result<std::vector<cuda::DeviceProperties>> cuda_devices(const std::string& plugin);

}  // namespace lockstep
