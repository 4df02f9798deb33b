// How the ranks of a replica bring segment sums together: decided by all of them when they start.
#pragma once

#include <chrono>
#include <memory>
#include <string>

#include "worker/communicator.h"
#include "worker/device/nccl_exchange.h"
#include "worker/model_runner.h"

namespace lockstep {

struct JoinOptions {
  DeviceTarget device;  // Of this rank; its table is null on the CPU.
  std::string nccl;     // The library; "off": not to be used.
  std::chrono::milliseconds deadline{30'000};
};

// Collective. An exchange where every rank has NCCL and a device of its own; else nothing, on every
// rank: the communicator does it through the host's memory. The log of rank 0 says which and why,
// if some rank has a device.
std::shared_ptr<NcclExchange> join_devices(const JoinOptions& options, Communicator& group);

}  // namespace lockstep
