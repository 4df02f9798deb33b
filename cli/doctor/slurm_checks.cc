#include "cli/doctor/slurm_checks.h"

#include <fcntl.h>
#include <mpi.h>
#include <sys/file.h>
#include <sys/resource.h>
#include <sys/statvfs.h>
#include <sys/vfs.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <filesystem>
#include <memory>

#include "base/config.h"
#include "base/descriptor.h"
#include "base/file.h"
#include "base/process.h"
#include "cli/output.h"
#include "cli/slurm/run_program.h"
#include "sharding/store.h"
#include "worker/mpi_group.h"

namespace lockstep {
namespace {

constexpr std::uint64_t kMinStateBytes = std::uint64_t{256} << 20;
constexpr std::int64_t kMinSeconds = 60;
constexpr int kSqueueMs = 10'000;

// The ranks of this step, or this process alone.
class World {
 public:
  static Result<World> join() {
    World world;
    if (started_by_mpi_launcher()) {
      LOCKSTEP_TRY_ASSIGN(world.session_, MpiSession::start(), "MPI");
    }
    return world;
  }
  int rank() const { return session_ ? session_->rank() : 0; }
  int size() const { return session_ ? session_->world_size() : 1; }
  void barrier() const {
    if (session_) MPI_Barrier(MPI_COMM_WORLD);
  }
  // The texts of all ranks, on rank 0.
  std::vector<std::string> gather(const std::string& text) const {
    if (!session_) return {text};
    const int mine = static_cast<int>(text.size());
    std::vector<int> sizes(static_cast<std::size_t>(size()));
    MPI_Gather(&mine, 1, MPI_INT, sizes.data(), 1, MPI_INT, 0, MPI_COMM_WORLD);
    std::vector<int> starts;
    int total = 0;
    for (const int bytes : sizes) {
      starts.push_back(total);
      total += bytes;
    }
    std::string all(static_cast<std::size_t>(total), '\0');
    MPI_Gatherv(text.data(), mine, MPI_CHAR, all.data(), sizes.data(), starts.data(), MPI_CHAR, 0,
                MPI_COMM_WORLD);
    std::vector<std::string> texts;
    for (std::size_t i = 0; rank() == 0 && i < sizes.size(); ++i) {
      texts.push_back(
          all.substr(static_cast<std::size_t>(starts[i]), static_cast<std::size_t>(sizes[i])));
    }
    return texts;
  }

 private:
  std::unique_ptr<MpiSession> session_;
};

std::string variable(const char* name) { return environment_variable(name).value_or(""); }

RankFinding find(const SlurmCheckOptions& options) {
  RankFinding finding;
  // Virtual nodes share a host's name.
  finding.node = variable("SLURMD_NODENAME");
  if (finding.node.empty()) finding.node = host_name();
  for (const char* name : {"SLURM_STEP_GPUS", "CUDA_VISIBLE_DEVICES"}) {
    if (!variable(name).empty()) finding.devices = variable(name);
  }
  rlimit limit{};
  (void)::getrlimit(RLIMIT_MEMLOCK, &limit);
  finding.locked_bytes = limit.rlim_cur == RLIM_INFINITY ? UINT64_MAX : limit.rlim_cur;
  struct statvfs shared {};
  if (::statvfs("/dev/shm", &shared) == 0) {
    finding.shared_memory_free = std::uint64_t{shared.f_bavail} * shared.f_frsize;
  }
  std::error_code ignored;
  finding.scratch = std::filesystem::temp_directory_path(ignored).string();
  struct statvfs scratch {};
  const bool is_writable = ::access(finding.scratch.c_str(), W_OK | X_OK) == 0;
  if (is_writable && ::statvfs(finding.scratch.c_str(), &scratch) == 0) {
    finding.scratch_free = std::uint64_t{scratch.f_bavail} * scratch.f_frsize;
  }
  if (!options.model.empty()) {
    const auto store = Store::open(options.model);
    if (store.ok()) {
      finding.store = to_hex(store.value().manifest().manifest_hash.bytes).substr(0, 16);
    } else {
      finding.fault = store.error().message;
    }
  }
  return finding;
}

// Rank 0 holds a lock; nobody else must get it, least of all on another node. One that two ranks
// try at once is held all the same.
void try_locks(const World& world, const std::string& state, RankFinding& finding) {
  const std::string path = state + "/lock-test";
  const bool leads = world.rank() == 0;
  Descriptor file;
  if (leads) {
    file = Descriptor(::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600));
    (void)::flock(file.get(), LOCK_EX | LOCK_NB);
  }
  world.barrier();
  if (!leads) {
    file = Descriptor(::open(path.c_str(), O_RDWR | O_CLOEXEC));
    const bool is_held_off = file.get() >= 0 && ::flock(file.get(), LOCK_EX | LOCK_NB) != 0;
    finding.lock = is_held_off && errno == EWOULDBLOCK ? 1 : -1;
  }
  world.barrier();
  if (leads) (void)::unlink(path.c_str());
}

std::string file_system_name(const std::string& path) {
  struct statfs info {};
  if (::statfs(path.c_str(), &info) != 0) return "unknown";
  struct Kind {
    std::uint32_t magic;
    const char* name;
  };
  static constexpr Kind kKinds[] = {
      {0x6969, "NFS"},        {0x0BD00BD0, "Lustre"}, {0x47504653, "GPFS"},
      {0x19830326, "BeeGFS"}, {0x00C36400, "Ceph"},   {0xEF53, "ext4"},
      {0x58465342, "XFS"},    {0x01021994, "tmpfs"},  {0x794C7630, "overlay"}};
  for (const Kind& kind : kKinds) {
    if (static_cast<std::uint32_t>(info.f_type) == kind.magic) return kind.name;
  }
  return "type " + std::to_string(info.f_type);
}

Check state_check(const std::string& state) {
  Check check{.area = "slurm", .name = "state directory"};
  struct statvfs info {};
  if (::statvfs(state.c_str(), &info) != 0 || ::access(state.c_str(), W_OK) != 0) {
    check.state = CheckState::kMissing;
    check.value = state + ": cannot be written";
    check.fix = "give another --state, on a file system that all nodes mount";
    return check;
  }
  const std::uint64_t free = std::uint64_t{info.f_bavail} * info.f_frsize;
  check.value = human_bytes(free) + " free, " + file_system_name(state);
  if (free < kMinStateBytes) {
    check.state = CheckState::kMissing;
    check.fix = "accepted requests need room: free " + human_bytes(kMinStateBytes) +
                ", or give another --state";
  } else if (file_system_name(state) == "tmpfs") {
    check.state = CheckState::kWarn;
    check.fix = "a tmpfs ends with its node: accepted requests do, too";
  }
  return check;
}

Check time_check() {
  Check check{.area = "slurm", .name = "time left", .value = "no job"};
  const std::string job = variable("SLURM_JOB_ID");
  if (job.empty()) return check;
  const auto asked =
      run_program({"squeue", "--noheader", "--job", job, "--format", "%L"}, "", kSqueueMs);
  std::string text = asked.ok() ? asked.value().out : "";
  while (text.ends_with('\n') || text.ends_with(' ')) text.pop_back();
  const std::int64_t left = seconds_left(text);
  check.value = text.empty() ? "squeue does not answer" : text;
  if (left >= 0 && left < kMinSeconds) {
    check.state = CheckState::kMissing;
    check.fix = "ask for more: --time";
  }
  return check;
}

int promised_tasks() {
  const std::string text = variable("SLURM_STEP_ID").empty() ? "" : variable("SLURM_NTASKS");
  int tasks = 0;
  (void)std::from_chars(text.data(), text.data() + text.size(), tasks);
  return tasks;
}

}  // namespace

Result<std::vector<Check>> slurm_checks(const SlurmCheckOptions& options) {
  LOCKSTEP_TRY_ASSIGN(const World world, World::join(), "checks");
  RankFinding finding = find(options);
  if (!options.state.empty()) try_locks(world, options.state, finding);
  const std::vector<std::string> texts = world.gather(encode_finding(finding));
  if (world.rank() != 0) return std::vector<Check>();
  std::vector<RankFinding> findings;
  for (const std::string& text : texts) {
    LOCKSTEP_TRY_ASSIGN(RankFinding one, parse_finding(text), "checks");
    findings.push_back(std::move(one));
  }
  std::vector<Check> checks = judge(findings, promised_tasks());
  if (!options.state.empty()) checks.push_back(state_check(options.state));
  checks.push_back(time_check());
  return checks;
}

}  // namespace lockstep
