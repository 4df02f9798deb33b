// The emulated device as a DeviceTable: memory is the host's, and a stream runs at once. Everything
// allocated is full of rubbish, so what is read before it is written shows.
#include <atomic>
#include <cstdlib>
#include <cstring>
#include <functional>
#include <mutex>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "kernels/cuda/operation_table.h"

namespace lockstep::cuda {
namespace {

constexpr std::size_t kAlignment = 256;
constexpr std::uint64_t kMemoryBytes = std::uint64_t{4} << 30;
constexpr int kRubbish = 0xA7;  // As a float -4.6e-15, as an index far out of range.
constexpr DeviceError kOutOfMemory = 2;
constexpr DeviceError kNotWhileRecording = 900;

using Recording = std::vector<std::function<DeviceError()>>;

// Runs at once what it is given, or records it.
struct EmulatedStream {
  bool records = false;
  Recording recording;
};
EmulatedStream& emulated(DeviceStream stream) { return *static_cast<EmulatedStream*>(stream); }

DeviceError driver_version(int* version) {
  *version = 13000;
  return 0;
}
std::atomic<int> num_devices = 1;
DeviceError count_devices(int* count) {
  *count = num_devices;
  return 0;
}

DeviceError use_device(int device) {
  static std::once_flag once;
  std::call_once(once, [] {
    emulator::set_options({1, static_cast<int>(std::thread::hardware_concurrency())});
  });
  return device < num_devices ? 0 : 101;
}

DeviceError properties(int device, DeviceProperties* properties) {
  *properties = {"emulated", static_cast<std::uint64_t>(device), 90, 1, kMemoryBytes, kMemoryBytes};
  return 0;
}

const char* error_text(DeviceError error) {
  static thread_local std::string text;
  text = emulator::take_failure();
  if (text.empty()) text = "error " + std::to_string(error) + " of the emulated device";
  return text.c_str();
}

DeviceError allocate(void** memory, std::size_t bytes) {
  if (bytes > kMemoryBytes) return kOutOfMemory;
  *memory = std::aligned_alloc(kAlignment, (bytes + kAlignment - 1) / kAlignment * kAlignment);
  if (*memory == nullptr) return kOutOfMemory;
  std::memset(*memory, kRubbish, bytes);
  return 0;
}
DeviceError release(void* memory) {
  std::free(memory);
  return 0;
}
DeviceError copy(void* to, const void* from, std::size_t bytes, DeviceStream stream) {
  if (emulated(stream).records) return kNotWhileRecording;
  if (bytes > 0) std::memcpy(to, from, bytes);
  return 0;
}
DeviceError fill(void* device, int byte, std::size_t bytes, DeviceStream stream) {
  if (emulated(stream).records) return kNotWhileRecording;
  if (bytes > 0) std::memset(device, byte, bytes);
  return 0;
}

DeviceError make_stream(DeviceStream* stream) {
  *stream = new EmulatedStream;
  return 0;
}
DeviceError end_stream(DeviceStream stream) {
  delete static_cast<EmulatedStream*>(stream);
  return 0;
}
DeviceError wait(DeviceStream stream) { return emulated(stream).records ? kNotWhileRecording : 0; }
DeviceError is_done(DeviceStream /*stream*/, bool* done) {
  *done = true;
  return 0;
}

DeviceError begin_recording(DeviceStream stream) {
  if (emulated(stream).records) return kNotWhileRecording;
  emulated(stream).records = true;
  return 0;
}
DeviceError end_recording(DeviceStream stream, DeviceGraph* graph) {
  emulated(stream).records = false;
  *graph = new Recording(std::exchange(emulated(stream).recording, {}));
  return 0;
}
DeviceError run_graph(DeviceGraph graph, DeviceStream /*stream*/) {
  for (const auto& operation : *static_cast<Recording*>(graph)) {
    if (const DeviceError error = operation(); error != 0) return error;
  }
  return 0;
}
DeviceError end_graph(DeviceGraph graph) {
  delete static_cast<Recording*>(graph);
  return 0;
}

template <auto kOperation, typename Args>
DeviceError run_or_record(const Args& args, DeviceStream stream) {
  if (!emulated(stream).records) return (kDeviceOperations.*kOperation)(args, nullptr);
  emulated(stream).recording.push_back(
      [args] { return (kDeviceOperations.*kOperation)(args, nullptr); });
  return 0;
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
                .copy_in = copy,
                .copy_out = copy,
                .fill = fill,
                .make_stream = make_stream,
                .end_stream = end_stream,
                .wait = wait,
                .is_done = is_done,
                .begin_recording = begin_recording,
                .end_recording = end_recording,
                .run_graph = run_graph,
                .end_graph = end_graph},
    .operations = {.permute_weights = run_or_record<&DeviceOperations::permute_weights>,
                   .embed = run_or_record<&DeviceOperations::embed>,
                   .quantize = run_or_record<&DeviceOperations::quantize>,
                   .linear = run_or_record<&DeviceOperations::linear>,
                   .prepare_attention = run_or_record<&DeviceOperations::prepare_attention>,
                   .attention = run_or_record<&DeviceOperations::attention>,
                   .swiglu = run_or_record<&DeviceOperations::swiglu>,
                   .fold = run_or_record<&DeviceOperations::fold>,
                   .argmax = run_or_record<&DeviceOperations::argmax>},
};

}  // namespace
}  // namespace lockstep::cuda

// For tests: how many devices there are.
extern "C" void lockstep_emulate_devices(int count) { lockstep::cuda::num_devices = count; }

extern "C" const lockstep::cuda::DeviceTable* lockstep_device_table() {
  return &lockstep::cuda::kTable;
}
