#include "worker/device_choice.h"

#include <dlfcn.h>

#include <filesystem>

#include "base/log.h"

namespace lockstep {
namespace {

constexpr const char* kLibrary = "lockstep-cuda.so";

std::string plugin_path(const std::string& asked) {
  if (!asked.empty()) return asked;
  std::error_code ignored;
  return std::filesystem::read_symlink("/proc/self/exe", ignored).parent_path() / kLibrary;
}

// The library stays open: nothing of it may go while a device works.
Result<const cuda::DeviceTable*> open_plugin(const std::string& path) {
  void* library = ::dlopen(path.c_str(), RTLD_NOW | RTLD_LOCAL);
  if (library == nullptr) {
    const char* reason = ::dlerror();
    return Error{ErrorCode::kUnavailable, reason == nullptr ? path : reason};
  }
  const auto table =
      reinterpret_cast<cuda::DeviceTableFunction>(::dlsym(library, cuda::kDeviceTableFunction));
  if (table == nullptr || table()->version != cuda::kDeviceTableVersion) {
    return Error{ErrorCode::kUnavailable, path + ": made for another version of lockstep"};
  }
  return table();
}

// The device that a local rank uses.
Result<DeviceChoice> find_device(const std::string& path, int local_rank) {
  LOCKSTEP_TRY_ASSIGN(const cuda::DeviceTable* table, open_plugin(path), "no CUDA plug-in");
  const cuda::DeviceRuntime& runtime = table->runtime;
  int driver = 0;
  if (runtime.driver_version(&driver) != 0 || driver == 0) {
    return Error{ErrorCode::kUnavailable, "no NVIDIA driver: libcuda.so.1 was not found"};
  }
  int count = 0;
  if (const cuda::DeviceError error = runtime.count_devices(&count); error != 0 || count == 0) {
    const std::string reason = error == 0 ? "the driver sees none" : runtime.error_text(error);
    return Error{ErrorCode::kUnavailable, "no CUDA device: " + reason};
  }
  return DeviceChoice{"cuda", nullptr, {table, local_rank % count}, count};
}

}  // namespace

Result<DeviceChoice> choose_device(const std::string& name, const std::string& plugin,
                                   int local_rank) {
  const bool any = name == "auto";
  const std::string path = plugin_path(plugin);
  std::error_code ignored;
  if (name == "cuda" || (any && std::filesystem::exists(path, ignored))) {
    Result<DeviceChoice> device = find_device(path, local_rank);
    if (device.ok() || !any) return device;
    if (local_rank == 0) {
      log_event(LogLevel::kInfo, "device_cpu",
                {{"instead_of", "cuda"}, {"reason", device.error().message}});
    }
  }
  auto backend = kernels::find_backend(name);
  if (!backend.ok()) return std::move(backend).error();
  return DeviceChoice{std::string(backend.value()->name), backend.value(), {}, 0};
}

}  // namespace lockstep
