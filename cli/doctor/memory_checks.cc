#include <charconv>
#include <cstdint>

#include "cli/doctor/check.h"
#include "cli/output.h"

namespace lockstep {
namespace {

// A "NAME: 123 kB" line of /proc/meminfo, in bytes, or a bare count as it is.
std::uint64_t meminfo(const std::string& text, const std::string& name, std::uint64_t unit) {
  const std::string field = field_of(text, name).value_or("0");
  std::uint64_t value = 0;
  (void)std::from_chars(field.data(), field.data() + field.size(), value);
  return value * unit;
}

Check memory_check(const std::string& text) {
  constexpr std::uint64_t kKib = 1024;
  const std::uint64_t total = meminfo(text, "MemTotal", kKib);
  const std::uint64_t available = meminfo(text, "MemAvailable", kKib);
  Check check{.area = "memory",
              .name = "memory",
              .value = human_bytes(available) + " available of " + human_bytes(total)};
  const auto limit = cgroup_memory_limit();
  if (limit && *limit < total) {
    check.value += ", cgroup limit " + human_bytes(*limit);
    check.state = CheckState::kWarn;
    check.fix = "weights and KV cache of all ranks here must fit the cgroup limit (Slurm: --mem)";
  }
  return check;
}

Check transparent_check() {
  Check check{.area = "memory", .name = "transparent huge pages"};
  const auto text = read_system_file("/sys/kernel/mm/transparent_hugepage/enabled");
  if (!text) {
    check.state = CheckState::kWarn;
    check.value = "not in this kernel";
    check.fix = "weights use 4 KiB pages, so reading them misses the TLB more often";
    return check;
  }
  const std::size_t open = text->find('[');
  const std::size_t close = text->find(']');
  check.value =
      open < close && close != std::string::npos ? text->substr(open + 1, close - open - 1) : *text;
  if (check.value == "never") {
    check.state = CheckState::kWarn;
    check.fix = "echo madvise > /sys/kernel/mm/transparent_hugepage/enabled (as root)";
  }
  return check;
}

Check reserved_check(const std::string& text) {
  Check check{.area = "memory", .name = "reserved huge pages"};
  const std::uint64_t pages = meminfo(text, "HugePages_Total", 1);
  const std::uint64_t free = meminfo(text, "HugePages_Free", 1);
  if (pages == 0) {
    check.value = "none (not needed: transparent ones serve)";
  } else {
    check.value = std::to_string(free) + " free of " + std::to_string(pages) + ", of " +
                  field_of(text, "Hugepagesize").value_or("unknown size");
  }
  return check;
}

}  // namespace

std::vector<Check> memory_checks() {
  const std::string text = read_system_file("/proc/meminfo").value_or("");
  return {memory_check(text), transparent_check(), reserved_check(text)};
}

}  // namespace lockstep
