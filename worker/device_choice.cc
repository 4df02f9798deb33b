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
    return Error{ErrorCode::kUnavailable, std::string(reason == nullptr ? path : reason) +
                                              " (`make cuda` builds it; --cuda-plugin names it)"};
  }
  const auto table =
      reinterpret_cast<cuda::DeviceTableFunction>(::dlsym(library, cuda::kDeviceTableFunction));
  if (table == nullptr || table()->version != cuda::kDeviceTableVersion) {
    return Error{ErrorCode::kUnavailable, path + ": made for another version of lockstep"};
  }
  return table();
}

struct Cuda {
  const cuda::DeviceTable* table;
  int devices;  // At least one.
};

Result<Cuda> open_cuda(const std::string& path) {
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
  return Cuda{table, count};
}

}  // namespace

Result<DeviceChoice> choose_device(const std::string& name, const std::string& plugin,
                                   int local_rank) {
  const bool any = name == "auto";
  const std::string path = plugin_path(plugin);
  std::error_code ignored;
  if (name == "cuda" || (any && std::filesystem::exists(path, ignored))) {
    Result<Cuda> found = open_cuda(path);
    if (found.ok()) {
      const Cuda& cuda = found.value();
      return DeviceChoice{"cuda", nullptr, {cuda.table, local_rank % cuda.devices}, cuda.devices};
    }
    if (!any) return std::move(found).error();
    if (local_rank == 0) {
      log_event(LogLevel::kWarning, "device_cpu",
                {{"instead_of", "cuda"}, {"reason", found.error().message}});
    }
  }
  auto backend = kernels::find_backend(name);
  if (!backend.ok()) return std::move(backend).error();
  return DeviceChoice{std::string(backend.value()->name), backend.value(), {}, 0};
}

Result<std::vector<cuda::DeviceProperties>> cuda_devices(const std::string& plugin) {
  LOCKSTEP_TRY_ASSIGN(const Cuda found, open_cuda(plugin_path(plugin)), "cuda");
  std::vector<cuda::DeviceProperties> devices(static_cast<std::size_t>(found.devices));
  for (int i = 0; i < found.devices; ++i) {
    const cuda::DeviceError error =
        found.table->runtime.properties(i, &devices[static_cast<std::size_t>(i)]);
    if (error != 0) {
      return Error{ErrorCode::kUnavailable,
                   "device " + std::to_string(i) + ": " + found.table->runtime.error_text(error)};
    }
  }
  return devices;
}

}  // namespace lockstep
