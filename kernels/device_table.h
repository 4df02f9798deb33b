// A device as a table of functions: the face of lockstep-cuda.so, which is opened by name, and of
// the emulated device, which the tests open in its place. Every function returns 0 or an error of
// the device's own, which error_text names; those with a stream enqueue there and return at once.
#pragma once

#include <cstddef>
#include <cstdint>

#include "kernels/device_ops.h"

namespace lockstep::cuda {

inline constexpr std::uint32_t kDeviceTableVersion = 3;
inline constexpr const char* kDeviceTableFunction = "lockstep_device_table";

using DeviceError = int;
using DeviceStream = void*;
using DeviceGraph = void*;

struct DeviceProperties {
  char name[128];
  std::uint64_t identity;  // Of the device itself: ranks that see the same number share it.
  int compute_capability;  // 10 * major + minor
  int multiprocessors;
  std::uint64_t total_bytes;
  std::uint64_t free_bytes;
};

// Devices, memory and streams. What is in the memory of the host may be used again when a copy from
// it returns; a copy to it is complete when the stream has been waited for.
struct DeviceRuntime {
  DeviceError (*driver_version)(int* version);  // 0: there is no driver.
  DeviceError (*count_devices)(int* count);
  DeviceError (*use_device)(int device);  // For this thread, from now on.
  DeviceError (*properties)(int device, DeviceProperties* properties);
  const char* (*error_text)(DeviceError error);

  DeviceError (*allocate)(void** memory, std::size_t bytes);  // Aligned to 256 bytes.
  DeviceError (*release)(void* memory);
  DeviceError (*copy_in)(void* device, const void* host, std::size_t bytes, DeviceStream stream);
  DeviceError (*copy_out)(void* host, const void* device, std::size_t bytes, DeviceStream stream);
  DeviceError (*fill)(void* device, int byte, std::size_t bytes, DeviceStream stream);

  DeviceError (*make_stream)(DeviceStream* stream);
  DeviceError (*end_stream)(DeviceStream stream);
  DeviceError (*wait)(DeviceStream stream);  // Until all that was enqueued is done.
  DeviceError (*is_done)(DeviceStream stream, bool* done);

  // Operations enqueued between the first two are recorded, with the arguments that they have now,
  // and not run; a graph runs them all again at the cost of one launch.
  DeviceError (*begin_recording)(DeviceStream stream);
  DeviceError (*end_recording)(DeviceStream stream, DeviceGraph* graph);
  DeviceError (*run_graph)(DeviceGraph graph, DeviceStream stream);
  DeviceError (*end_graph)(DeviceGraph graph);
};

// The launchers of device_ops.h.
struct DeviceOperations {
  DeviceError (*permute_weights)(const PermuteWeightsArgs& args, DeviceStream stream);
  DeviceError (*embed)(const EmbedArgs& args, DeviceStream stream);
  DeviceError (*quantize)(const QuantizeArgs& args, DeviceStream stream);
  DeviceError (*linear)(const LinearArgs& args, DeviceStream stream);
  DeviceError (*prepare_attention)(const PrepareAttentionArgs& args, DeviceStream stream);
  DeviceError (*attention)(const AttentionArgs& args, DeviceStream stream);
  DeviceError (*swiglu)(const SwigluArgs& args, DeviceStream stream);
  DeviceError (*fold)(const FoldArgs& args, DeviceStream stream);
  DeviceError (*argmax)(const ArgmaxArgs& args, DeviceStream stream);
};

struct DeviceTable {
  std::uint32_t version;
  DeviceRuntime runtime;
  DeviceOperations operations;
};

// The type of the function kDeviceTableFunction.
using DeviceTableFunction = const DeviceTable* (*)();

}  // namespace lockstep::cuda
