// What `lockstep doctor` looks at: one line a finding, with its fix. Every function only reads, and
// finds something to say on any Linux machine.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace lockstep {

enum class CheckState {
  kOk,
  kWarn,     // Works, but slower or with a trap.
  kMissing,  // Not there; something cannot be used.
};

std::string_view check_state_name(CheckState state);  // "ok", "warn", "missing".

struct Check {
  std::string area = {};  // "cpu", "memory", "mpi", ...: the heading.
  std::string name;       // "huge pages"
  CheckState state = CheckState::kOk;
  std::string value = {};  // What was found.
  std::string fix = {};    // What to do; empty when there is nothing to do.
};

struct DeviceReport {
  std::string name;
  bool available = false;
  std::string reason = {};  // Why not; for the available ones what they are.
};

std::vector<Check> cpu_checks();
std::vector<Check> memory_checks();
std::vector<Check> runtime_checks();  // MPI, GPUs, HDF5.
std::vector<Check> system_checks();   // Disk, limits, Slurm.

// `cuda_plugin`: lockstep-cuda.so; empty: beside the executable.
std::vector<DeviceReport> device_reports(const std::string& cuda_plugin);

// The features among those that the kernels care for, with whether this processor has each (as the
// kernel of the operating system enables it).
struct CpuFeature {
  std::string name;
  bool present = false;
};
std::vector<CpuFeature> cpu_features();

// Helpers of the checks.
// The first MiB of a file of /proc or /sys without trailing white space; nothing when it cannot be
// read.
std::optional<std::string> read_system_file(const std::string& path);
// The value of "NAME: VALUE" in a text of such lines.
std::optional<std::string> field_of(std::string_view text, std::string_view name);
// The path of a program on PATH, or "".
std::string find_program(const std::string& name);
// Processors that the cgroup of this process may use, as a count (1.5); nothing when there is no
// quota.
std::optional<double> cgroup_cpu_quota();
// The smallest memory limit of the cgroups of this process, bytes.
std::optional<std::uint64_t> cgroup_memory_limit();

}  // namespace lockstep
