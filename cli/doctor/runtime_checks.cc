#include <H5public.h>
#include <dirent.h>
#include <mpi.h>
#include <unistd.h>

#include <cstring>
#include <memory>

#include "base/config.h"
#include "cli/doctor/check.h"

namespace lockstep {
namespace {

constexpr const char* kCudaPlugin = "liblockstep_cuda.so";

Check mpi_library_check() {
  const std::string built = std::to_string(OMPI_MAJOR_VERSION) + "." +
                            std::to_string(OMPI_MINOR_VERSION) + "." +
                            std::to_string(OMPI_RELEASE_VERSION);
  char text[MPI_MAX_LIBRARY_VERSION_STRING] = {};
  int bytes = 0;
  std::string running = "unknown";
  if (MPI_Get_library_version(text, &bytes) == MPI_SUCCESS)
    running = text;  // Allowed before MPI_Init.
  const std::string short_name = running.substr(0, running.find(','));
  Check check{.area = "mpi",
              .name = "library",
              .value = "compiled against Open MPI " + built + ", running with " + short_name};
  if (running.find("v" + built) == std::string::npos) {
    check.state = CheckState::kWarn;
    check.fix =
        "another Open MPI is loaded than the one compiled against: load the matching "
        "module, or build again";
  }
  return check;
}

Check mpirun_check() {
  Check check{.area = "mpi", .name = "mpirun", .value = find_program("mpirun")};
  if (check.value.empty()) {
    check.state = CheckState::kMissing;
    check.value = "not on PATH";
    check.fix =
        "apt-get install openmpi-bin, or load the site's MPI module; `run --ranks N` needs "
        "none: its ranks are threads";
    return check;
  }
  const bool allowed = environment_variable("OMPI_ALLOW_RUN_AS_ROOT").has_value();
  if (geteuid() == 0 && !allowed) {
    check.state = CheckState::kWarn;
    check.fix =
        "mpirun refuses root: mpirun --allow-run-as-root, or OMPI_ALLOW_RUN_AS_ROOT=1 and "
        "OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1";
  }
  return check;
}

// How many /dev/nvidia0, /dev/nvidia1, ... there are.
int count_gpus() {
  const std::unique_ptr<DIR, int (*)(DIR*)> directory(opendir("/dev"), closedir);
  int count = 0;
  while (directory != nullptr) {
    const dirent* entry = readdir(directory.get());
    if (entry == nullptr) break;
    const std::string_view name = entry->d_name;
    constexpr std::string_view kPrefix = "nvidia";
    if (name.starts_with(kPrefix) && name.size() > kPrefix.size() &&
        name.find_first_not_of("0123456789", kPrefix.size()) == std::string_view::npos) {
      ++count;
    }
  }
  return count;
}

// Where the plug-in is, or "": next to the executable, as it is built and installed.
std::string find_plugin() {
  char path[4096];
  const ssize_t bytes = readlink("/proc/self/exe", path, sizeof path);
  if (bytes <= 0) return "";
  const std::string executable(path, static_cast<std::size_t>(bytes));
  const std::string plugin = executable.substr(0, executable.rfind('/') + 1) + kCudaPlugin;
  return access(plugin.c_str(), R_OK) == 0 ? plugin : "";
}

Check gpu_check() {
  Check check{.area = "gpu", .name = "NVIDIA GPUs"};
  const int gpus = count_gpus();
  const std::string plugin = find_plugin();
  check.value = gpus == 0 ? "none (no /dev/nvidia0)" : std::to_string(gpus);
  check.value +=
      plugin.empty() ? ", no plug-in " + std::string(kCudaPlugin) : ", plug-in " + plugin;
  if (gpus > 0 && plugin.empty()) {
    check.state = CheckState::kMissing;
    check.fix =
        "this build has CPU devices alone; it needs the CUDA plug-in next to the "
        "executable to use a GPU";
  }
  return check;
}

Check hdf5_check() {
  unsigned major = 0;
  unsigned minor = 0;
  unsigned release = 0;
  Check check{.area = "hdf5", .name = "library"};
  const std::string built = std::to_string(H5_VERS_MAJOR) + "." + std::to_string(H5_VERS_MINOR) +
                            "." + std::to_string(H5_VERS_RELEASE);
  if (H5get_libversion(&major, &minor, &release) < 0) {
    check.state = CheckState::kWarn;
    check.value = "compiled against " + built + ", the running one gives no version";
    return check;
  }
  const std::string running =
      std::to_string(major) + "." + std::to_string(minor) + "." + std::to_string(release);
  check.value = "compiled against " + built + ", running with " + running;
  if (running != built) {
    check.state = CheckState::kWarn;
    check.fix =
        "another HDF5 is loaded than the one compiled against; two imports may give "
        "different bytes";
  }
  return check;
}

}  // namespace

std::vector<Check> runtime_checks() {
  return {mpi_library_check(), mpirun_check(), gpu_check(), hdf5_check()};
}

}  // namespace lockstep
