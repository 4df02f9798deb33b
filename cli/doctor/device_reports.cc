// The devices that a model can run on, in the order in which `--help` lists them.
#include "cli/doctor/check.h"
#include "kernels/backend.h"
#include "worker/device_choice.h"
#include "worker/gib.h"

namespace lockstep {
namespace {

constexpr const char* kChosen = "chosen by `auto`";

std::string description(const cuda::DeviceProperties& device) {
  return std::string(device.name) + ", compute capability " +
         std::to_string(device.compute_capability / 10) + "." +
         std::to_string(device.compute_capability % 10) + ", " +
         std::to_string(device.multiprocessors) + " multiprocessors, " + gib(device.free_bytes) +
         " free of " + gib(device.total_bytes);
}

// One line for each device, or one that says what is missing.
std::vector<DeviceReport> cuda_reports(const std::string& plugin) {
  const auto devices = cuda_devices(plugin);
  if (!devices.ok()) return {{"cuda", false, devices.error().message}};
  std::vector<DeviceReport> reports;
  for (const cuda::DeviceProperties& device : devices.value()) {
    const std::string chosen = reports.empty() ? std::string("; ") + kChosen : "";
    reports.push_back(
        {"cuda:" + std::to_string(reports.size()), true, description(device) + chosen});
  }
  return reports;
}

}  // namespace

std::vector<DeviceReport> device_reports(const std::string& cuda_plugin) {
  std::vector<DeviceReport> reports = cuda_reports(cuda_plugin);
  const bool on_cuda = reports.front().available;
  const auto chosen = kernels::find_backend("auto");
  for (const kernels::Backend* backend : kernels::all_backends()) {
    DeviceReport report{.name = std::string(backend->name), .available = backend->available()};
    if (report.available) {
      report.reason = !on_cuda && chosen.ok() && chosen.value() == backend ? kChosen : "";
    } else {
      const auto refused = kernels::find_backend(backend->name);
      report.reason = refused.ok() ? "not available" : refused.error().message;
    }
    reports.push_back(report);
  }
  return reports;
}

}  // namespace lockstep
