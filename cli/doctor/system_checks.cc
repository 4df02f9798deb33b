#include <dirent.h>
#include <sys/resource.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include <cstdint>
#include <memory>

#include "base/config.h"
#include "cli/doctor/check.h"
#include "cli/output.h"

namespace lockstep {
namespace {

struct Space {
  std::uint64_t available = 0;
  std::uint64_t total = 0;
};

std::optional<Space> space_of(const char* path) {
  struct statvfs status {};
  if (statvfs(path, &status) != 0) return std::nullopt;
  return Space{.available = std::uint64_t{status.f_bavail} * status.f_frsize,
               .total = std::uint64_t{status.f_blocks} * status.f_frsize};
}

Check disk_check() {
  constexpr std::uint64_t kLow = std::uint64_t{1} << 30;
  Check check{.area = "system", .name = "working directory"};
  const auto space = space_of(".");
  if (!space) {
    check.state = CheckState::kWarn;
    check.value = "its file system cannot be asked";
    return check;
  }
  check.value = human_bytes(space->available) + " free of " + human_bytes(space->total);
  if (space->available < kLow) {
    check.state = CheckState::kWarn;
    check.fix = "a store needs about the size of its GGUF file; free some space";
  }
  if (access(".", W_OK) != 0) {
    check.state = CheckState::kWarn;
    check.value += ", not writable";
    check.fix = "change to a directory of yours";
  }
  return check;
}

// Shared-memory files that ended ranks of Open MPI left behind.
int count_leftovers() {
  const std::unique_ptr<DIR, int (*)(DIR*)> directory(opendir("/dev/shm"), closedir);
  int count = 0;
  while (directory != nullptr) {
    const dirent* entry = readdir(directory.get());
    if (entry == nullptr) break;
    if (std::string_view(entry->d_name).starts_with("vader_segment.")) ++count;
  }
  return count;
}

Check shared_memory_check() {
  constexpr std::uint64_t kSmall = 256 << 20;  // A container's default is 64 MiB.
  Check check{.area = "system", .name = "/dev/shm"};
  const auto space = space_of("/dev/shm");
  if (!space) {
    check.state = CheckState::kMissing;
    check.value = "not mounted";
    check.fix = "mount -t tmpfs tmpfs /dev/shm: ranks of one node talk through it";
    return check;
  }
  check.value = human_bytes(space->available) + " free of " + human_bytes(space->total);
  if (space->available < kSmall) {
    check.state = CheckState::kWarn;
    check.fix =
        "ranks of one node talk through it: mount -o remount,size=1G /dev/shm (Docker: "
        "--shm-size=1g)";
  }
  const int leftovers = count_leftovers();
  if (leftovers > 0) {
    check.state = CheckState::kWarn;
    check.value += ", " + std::to_string(leftovers) + " files vader_segment.*";
    check.fix = "left by killed MPI ranks, unless some run now: rm /dev/shm/vader_segment.*";
  }
  return check;
}

std::string limit_text(rlim_t limit, bool bytes) {
  if (limit == RLIM_INFINITY) return "unlimited";
  return bytes ? human_bytes(limit) : std::to_string(limit);
}

Check limit_check(const char* name, int resource, bool bytes, rlim_t wanted,
                  const std::string& fix) {
  Check check{.area = "system", .name = name};
  rlimit limit{};
  if (getrlimit(static_cast<__rlimit_resource>(resource), &limit) != 0) {
    check.state = CheckState::kWarn;
    check.value = "cannot be read";
    return check;
  }
  check.value = limit_text(limit.rlim_cur, bytes);
  if (limit.rlim_cur != limit.rlim_max) {
    check.value += ", at most " + limit_text(limit.rlim_max, bytes);
  }
  if (limit.rlim_cur < wanted) {
    check.state = CheckState::kWarn;
    check.fix = fix;
  }
  return check;
}

Check slurm_check() {
  Check check{.area = "system", .name = "Slurm"};
  const std::string srun = find_program("srun");
  const auto job = environment_variable("SLURM_JOB_ID");
  check.value = srun.empty() ? "not here (needed only on a Slurm cluster)" : srun;
  if (job) check.value += ", inside job " + *job;
  return check;
}

}  // namespace

std::vector<Check> system_checks() {
  constexpr rlim_t kFiles = 1024;
  constexpr rlim_t kLocked = 8 << 20;
  return {disk_check(), shared_memory_check(),
          limit_check("open files", RLIMIT_NOFILE, false, kFiles,
                      "ulimit -n 4096 (systemd: LimitNOFILE)"),
          limit_check("locked memory", RLIMIT_MEMLOCK, true, kLocked,
                      "ulimit -l unlimited: fast networks register their buffers (Slurm: "
                      "PropagateResourceLimitsExcept=MEMLOCK)"),
          slurm_check()};
}

}  // namespace lockstep
