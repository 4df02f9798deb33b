#include <hwloc.h>
#include <sched.h>

#include <algorithm>
#include <cstdio>

#include "base/config.h"
#include "cli/doctor/check.h"
#include "kernels/backend.h"

namespace lockstep {
namespace {

struct Topology {
  int packages = 0;
  int cores = 0;
  int processors = 0;  // Hardware threads that are online and allowed by the system.
  int numa_nodes = 0;
};

std::optional<Topology> read_topology() {
  hwloc_topology_t topology = nullptr;
  if (hwloc_topology_init(&topology) != 0) return std::nullopt;
  std::optional<Topology> found;
  if (hwloc_topology_load(topology) == 0) {
    const auto count = [&](hwloc_obj_type_t type) {
      return std::max(0, hwloc_get_nbobjs_by_type(topology, type));
    };
    found = Topology{.packages = count(HWLOC_OBJ_PACKAGE),
                     .cores = count(HWLOC_OBJ_CORE),
                     .processors = count(HWLOC_OBJ_PU),
                     .numa_nodes = count(HWLOC_OBJ_NUMANODE)};
  }
  hwloc_topology_destroy(topology);
  return found;
}

std::string processor_name() {
  const std::string text = read_system_file("/proc/cpuinfo").value_or("");
  return field_of(text, "model name").value_or("unknown");
}

std::string counted(int count, const std::string& singular) {
  return std::to_string(count) + " " + singular + (count == 1 ? "" : "s");
}

// "0-3,8" of the processors that this process may run on.
std::string affinity_text(const cpu_set_t& mask) {
  std::string text;
  for (int i = 0; i < CPU_SETSIZE; ++i) {
    if (!CPU_ISSET(i, &mask)) continue;
    int last = i;
    while (last + 1 < CPU_SETSIZE && CPU_ISSET(last + 1, &mask)) ++last;
    text += (text.empty() ? "" : ",") + std::to_string(i);
    if (last > i) text += "-" + std::to_string(last);
    i = last;
  }
  return text;
}

Check affinity_check(std::optional<int>& usable) {
  Check check{.area = "cpu", .name = "affinity mask"};
  cpu_set_t mask;
  CPU_ZERO(&mask);
  if (sched_getaffinity(0, sizeof mask, &mask) != 0) {
    check.state = CheckState::kWarn;
    check.value = "cannot be read (more processors than the mask holds)";
    check.fix = "give --threads explicitly";
    return check;
  }
  usable = CPU_COUNT(&mask);
  check.value = counted(*usable, "processor") + ": " + affinity_text(mask);
  return check;
}

Check quota_check(std::optional<int> usable) {
  Check check{.area = "cpu", .name = "cgroup quota"};
  const auto quota = cgroup_cpu_quota();
  if (!quota) {
    check.value = "none";
    return check;
  }
  char text[64];
  (void)std::snprintf(text, sizeof text, "%.2f processors", *quota);
  check.value = text;
  if (usable && *quota < static_cast<double>(*usable)) {
    check.state = CheckState::kWarn;
    check.fix =
        "threads beyond the quota are stopped in turn, and every rank waits for the "
        "slowest; use at most this many threads in all (--threads), or raise the quota";
  }
  return check;
}

std::vector<Check> topology_checks() {
  const std::optional<Topology> topology = read_topology();
  if (!topology) {
    return {{.area = "cpu",
             .name = "topology",
             .state = CheckState::kWarn,
             .value = "hwloc cannot read it",
             .fix = "mount /sys, and pin ranks by hand (mpirun --bind-to)"}};
  }
  Check cores{.area = "cpu",
              .name = "cores",
              .value = counted(topology->cores, "core") + ", " +
                       counted(topology->processors, "processor") + ", " +
                       counted(topology->packages, "package")};
  if (topology->processors > topology->cores) {
    cores.value += ", SMT on";
    cores.state = CheckState::kWarn;
    cores.fix =
        "two threads of one core share its vector units: count cores for --threads "
        "(Slurm: --hint=nomultithread)";
  } else {
    cores.value += ", SMT off or hidden";
  }
  Check numa{.area = "cpu", .name = "NUMA", .value = counted(topology->numa_nodes, "node")};
  if (topology->numa_nodes > 1) {
    numa.state = CheckState::kWarn;
    numa.fix =
        "one rank a node keeps its weights in near memory: mpirun --map-by numa --bind-to "
        "numa, or srun --cpu-bind=ldoms";
  }
  return {cores, numa};
}

}  // namespace

std::vector<CpuFeature> cpu_features() {
  // As /proc/cpuinfo writes them: what the processor has and the operating system enables.
  static constexpr const char* kNames[] = {
      "sse4_2",   "avx",      "f16c",        "fma",         "avx2",        "avx_vnni", "avx512f",
      "avx512bw", "avx512vl", "avx512_vnni", "avx512_bf16", "avx512_fp16", "amx_tile", "amx_int8"};
  const std::string text = read_system_file("/proc/cpuinfo").value_or("");
  const std::string flags = " " + field_of(text, "flags").value_or("") + " ";
  std::vector<CpuFeature> features;
  for (const char* name : kNames) {
    const bool present = flags.find(" " + std::string(name) + " ") != std::string::npos;
    features.push_back({name, present});
  }
  return features;
}

std::vector<Check> cpu_checks() {
  std::vector<Check> checks = {{.area = "cpu", .name = "processor", .value = processor_name()}};
  Check sets{.area = "cpu", .name = "instruction sets"};
  std::string lacking;
  bool has_avx2 = false;
  for (const CpuFeature& feature : cpu_features()) {
    std::string& list = feature.present ? sets.value : lacking;
    list += (list.empty() ? "" : " ") + feature.name;
    has_avx2 = has_avx2 || (feature.present && feature.name == "avx2");
  }
  if (!lacking.empty()) sets.value += " (not: " + lacking + ")";
  if (!has_avx2) {
    sets.state = CheckState::kMissing;
    sets.fix =
        "without AVX2 only cpu:reference runs, which is slow; in a virtual machine pass the "
        "host's processor through";
  }
  checks.push_back(sets);
  for (const Check& check : topology_checks()) checks.push_back(check);
  std::optional<int> usable;
  checks.push_back(affinity_check(usable));
  checks.push_back(quota_check(usable));
  return checks;
}

}  // namespace lockstep
