#include <unistd.h>

#include <algorithm>
#include <charconv>
#include <cstdint>
#include <fstream>

#include "base/config.h"
#include "cli/doctor/check.h"

namespace lockstep {
namespace {

constexpr std::streamsize kMaxBytes = 1 << 20;

template <typename T>
std::optional<T> to_number(std::string_view text) {
  T value{};
  const auto [end, status] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (status != std::errc{} || end != text.data() + text.size()) return std::nullopt;
  return value;
}

// Directories of this process's cgroup from its own up to the root; version 2, then what version 1
// has.
std::vector<std::string> cgroup_directories(const std::string& controller) {
  std::vector<std::string> directories;
  const std::string text = read_system_file("/proc/self/cgroup").value_or("");
  for (std::size_t begin = 0; begin < text.size();) {
    const std::size_t end = std::min(text.find('\n', begin), text.size());
    const std::string line = text.substr(begin, end - begin);
    begin = end + 1;
    const std::size_t first = line.find(':');
    const std::size_t second = line.find(':', first + 1);
    if (second == std::string::npos) continue;
    const std::string controllers = line.substr(first + 1, second - first - 1);
    std::string mount = "/sys/fs/cgroup";
    if (!controllers.empty()) {
      if (("," + controllers + ",").find("," + controller + ",") == std::string::npos) continue;
      mount += "/" + controller;
    }
    // In a container the path may be the host's; the root of the mount is then the container's own
    // group.
    for (std::string path = line.substr(second + 1); path.size() > 1;
         path.resize(path.rfind('/'))) {
      directories.push_back(mount + path);
    }
    directories.push_back(mount);
  }
  return directories;
}

std::optional<double> quota_in(const std::string& directory) {
  if (const auto both =
          read_system_file(directory + "/cpu.max")) {  // "max 100000", "150000 100000"
    const std::size_t space = both->find(' ');
    const auto quota = to_number<double>(both->substr(0, space));
    const auto period =
        space == std::string::npos ? std::nullopt : to_number<double>(both->substr(space + 1));
    if (quota && period && *period > 0) return *quota / *period;
  }
  const auto quota =
      to_number<double>(read_system_file(directory + "/cpu.cfs_quota_us").value_or(""));
  const auto period =
      to_number<double>(read_system_file(directory + "/cpu.cfs_period_us").value_or(""));
  if (quota && period && *quota > 0 && *period > 0) return *quota / *period;
  return std::nullopt;
}

}  // namespace

std::optional<std::string> read_system_file(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  if (!file) return std::nullopt;
  std::string text(static_cast<std::size_t>(kMaxBytes), '\0');
  file.read(text.data(), kMaxBytes);
  text.resize(static_cast<std::size_t>(file.gcount()));
  text.erase(text.find_last_not_of(" \t\n") + 1);
  return text;
}

std::optional<std::string> field_of(std::string_view text, std::string_view name) {
  while (!text.empty()) {
    const std::size_t end = std::min(text.find('\n'), text.size());
    const std::string_view line = text.substr(0, end);
    text.remove_prefix(std::min(end + 1, text.size()));
    const std::size_t colon = line.find(':');
    if (colon == std::string_view::npos) continue;
    if (line.substr(0, line.find_last_not_of(" \t", colon - 1) + 1) != name) continue;
    const std::size_t begin = line.find_first_not_of(" \t", colon + 1);
    return begin == std::string_view::npos ? "" : std::string(line.substr(begin));
  }
  return std::nullopt;
}

std::string find_program(const std::string& name) {
  const std::string path = environment_variable("PATH").value_or("");
  for (std::size_t begin = 0; begin <= path.size();) {
    const std::size_t end = std::min(path.find(':', begin), path.size());
    const std::string candidate = path.substr(begin, end - begin) + "/" + name;
    if (end > begin && access(candidate.c_str(), X_OK) == 0) return candidate;
    begin = end + 1;
  }
  return "";
}

std::optional<double> cgroup_cpu_quota() {
  std::optional<double> smallest;
  for (const std::string& directory : cgroup_directories("cpu")) {
    const auto quota = quota_in(directory);
    if (quota && (!smallest || *quota < *smallest)) smallest = quota;
  }
  return smallest;
}

std::optional<std::uint64_t> cgroup_memory_limit() {
  constexpr std::uint64_t kUnlimited = std::uint64_t{1}
                                       << 60;  // Version 1 writes "no limit" as a huge number.
  std::optional<std::uint64_t> smallest;
  for (const std::string& directory : cgroup_directories("memory")) {
    for (const char* name : {"/memory.max", "/memory.limit_in_bytes"}) {
      const auto limit = to_number<std::uint64_t>(read_system_file(directory + name).value_or(""));
      if (limit && *limit < kUnlimited && (!smallest || *limit < *smallest)) smallest = limit;
    }
  }
  return smallest;
}

}  // namespace lockstep
