// lockstep-cuda.so: CUDA's devices as a DeviceTable.
#include <cstring>

#include "kernels/cuda/operation_table.h"

namespace lockstep::cuda {
namespace {

cudaStream_t stream_of(DeviceStream stream) { return static_cast<cudaStream_t>(stream); }

DeviceError driver_version(int* version) { return cudaDriverGetVersion(version); }
DeviceError count_devices(int* count) { return cudaGetDeviceCount(count); }
DeviceError use_device(int device) { return cudaSetDevice(device); }
const char* error_text(DeviceError error) {
  return cudaGetErrorString(static_cast<cudaError_t>(error));
}

DeviceError properties(int device, DeviceProperties* properties) {
  cudaDeviceProp found{};
  if (const cudaError_t error = cudaGetDeviceProperties(&found, device); error != cudaSuccess) {
    return error;
  }
  static_assert(sizeof properties->name <= sizeof found.name);
  std::memcpy(properties->name, found.name, sizeof properties->name);
  properties->name[sizeof properties->name - 1] = 0;
  std::uint64_t halves[2];
  static_assert(sizeof halves == sizeof found.uuid);
  std::memcpy(halves, &found.uuid, sizeof halves);
  properties->identity = halves[0] ^ halves[1];
  properties->compute_capability = 10 * found.major + found.minor;
  properties->multiprocessors = found.multiProcessorCount;
  if (const cudaError_t error = cudaSetDevice(device); error != cudaSuccess) return error;
  std::size_t free = 0;
  std::size_t total = 0;
  const cudaError_t error = cudaMemGetInfo(&free, &total);
  properties->free_bytes = free;
  properties->total_bytes = total;
  return error;
}

DeviceError allocate(void** memory, std::size_t bytes) { return cudaMalloc(memory, bytes); }
DeviceError release(void* memory) { return cudaFree(memory); }
DeviceError copy_in(void* device, const void* host, std::size_t bytes, DeviceStream stream) {
  return cudaMemcpyAsync(device, host, bytes, cudaMemcpyHostToDevice, stream_of(stream));
}
DeviceError copy_out(void* host, const void* device, std::size_t bytes, DeviceStream stream) {
  return cudaMemcpyAsync(host, device, bytes, cudaMemcpyDeviceToHost, stream_of(stream));
}
DeviceError fill(void* device, int byte, std::size_t bytes, DeviceStream stream) {
  return cudaMemsetAsync(device, byte, bytes, stream_of(stream));
}

DeviceError make_stream(DeviceStream* stream) {
  cudaStream_t made = nullptr;
  const cudaError_t error = cudaStreamCreateWithFlags(&made, cudaStreamNonBlocking);
  *stream = made;
  return error;
}
DeviceError end_stream(DeviceStream stream) { return cudaStreamDestroy(stream_of(stream)); }
DeviceError wait(DeviceStream stream) { return cudaStreamSynchronize(stream_of(stream)); }
DeviceError is_done(DeviceStream stream, bool* done) {
  const cudaError_t error = cudaStreamQuery(stream_of(stream));
  *done = error == cudaSuccess;
  return error == cudaErrorNotReady ? cudaSuccess : error;
}

DeviceError begin_recording(DeviceStream stream) {
  return cudaStreamBeginCapture(stream_of(stream), cudaStreamCaptureModeThreadLocal);
}
DeviceError end_recording(DeviceStream stream, DeviceGraph* graph) {
  cudaGraph_t recorded = nullptr;
  cudaError_t error = cudaStreamEndCapture(stream_of(stream), &recorded);
  if (error != cudaSuccess) return error;
  cudaGraphExec_t made = nullptr;
  error = cudaGraphInstantiate(&made, recorded, 0);
  (void)cudaGraphDestroy(recorded);
  *graph = made;
  return error;
}
DeviceError run_graph(DeviceGraph graph, DeviceStream stream) {
  return cudaGraphLaunch(static_cast<cudaGraphExec_t>(graph), stream_of(stream));
}
DeviceError end_graph(DeviceGraph graph) {
  return cudaGraphExecDestroy(static_cast<cudaGraphExec_t>(graph));
}

constexpr DeviceTable kTable = {
    .version = kDeviceTableVersion,
    .runtime = {.driver_version = driver_version,
                .count_devices = count_devices,
                .use_device = use_device,
                .properties = properties,
                .error_text = error_text,
                .allocate = allocate,
                .release = release,
                .copy_in = copy_in,
                .copy_out = copy_out,
                .fill = fill,
                .make_stream = make_stream,
                .end_stream = end_stream,
                .wait = wait,
                .is_done = is_done,
                .begin_recording = begin_recording,
                .end_recording = end_recording,
                .run_graph = run_graph,
                .end_graph = end_graph},
    .operations = kDeviceOperations,
};

}  // namespace
}  // namespace lockstep::cuda

extern "C" __attribute__((visibility("default"))) const lockstep::cuda::DeviceTable*
lockstep_device_table() {
  return &lockstep::cuda::kTable;
}
