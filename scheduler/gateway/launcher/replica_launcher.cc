#include "scheduler/gateway/launcher/replica_launcher.h"

#include <poll.h>
#include <signal.h>
#include <stdlib.h>

#include <algorithm>
#include <chrono>
#include <filesystem>
#include <fstream>
#include <utility>

#include "base/file.h"
#include "base/log.h"
#include "scheduler/gateway/launcher/child_process.h"

namespace lockstep {
namespace {

namespace fs = std::filesystem;

constexpr std::string_view kFolderPrefix = "lockstep-replica-";
// Holds "PID TICKS" of the folder's child, so that a later gateway knows whether it is in use.
constexpr std::string_view kOwnerFile = "owner";

void remove_folder(const std::string& folder) {
  if (folder.empty()) return;
  std::error_code failed;
  fs::remove_all(folder, failed);
  if (failed) log_event(LogLevel::kWarning, "folder_stays", {{"folder", folder}});
}

// Whether a folder belongs to nobody any more. One without an owner is just being made, or was when
// its gateway was killed.
bool is_stale(const fs::path& folder) {
  std::ifstream file(folder / kOwnerFile);
  std::int64_t pid = 0;
  std::uint64_t ticks = 0;
  if (file >> pid >> ticks) {
    const auto handle = ProcessHandle::open(pid, ticks);
    return !handle.ok() || handle.value().ended();
  }
  std::error_code failed;
  const auto written = fs::last_write_time(folder, failed);
  return !failed && fs::file_time_type::clock::now() - written > std::chrono::minutes(1);
}

}  // namespace

ReplicaLauncher::ReplicaLauncher(std::string runtime_directory, OnDeath on_death)
    : runtime_directory_(std::move(runtime_directory)), on_death_(std::move(on_death)) {}

Result<std::unique_ptr<ReplicaLauncher>> ReplicaLauncher::start(std::string runtime_directory,
                                                                OnDeath on_death) {
  std::error_code failed;
  if (!fs::is_directory(runtime_directory, failed)) {
    return Error{ErrorCode::kNotFound, "launcher: " + runtime_directory + ": no such folder"};
  }
  std::unique_ptr<ReplicaLauncher> launcher(
      new ReplicaLauncher(std::move(runtime_directory), std::move(on_death)));
  launcher->remove_stale_folders();
  launcher->thread_ = std::thread([raw = launcher.get()] { raw->run(); });
  return launcher;
}

ReplicaLauncher::~ReplicaLauncher() {
  stopping_.store(true);
  wakeup_.ring();
  if (thread_.joinable()) thread_.join();
}

void ReplicaLauncher::remove_stale_folders() const {
  std::error_code failed;
  for (const auto& entry : fs::directory_iterator(runtime_directory_, failed)) {
    const std::string name = entry.path().filename();
    if (!name.starts_with(kFolderPrefix) || !entry.is_directory(failed)) continue;
    if (is_stale(entry.path())) remove_folder(entry.path());
  }
}

Result<std::string> ReplicaLauncher::make_folder(const ReplicaKeys& keys) const {
  std::string folder = runtime_directory_ + "/" + std::string(kFolderPrefix) + "XXXXXX";
  if (::mkdtemp(folder.data()) == nullptr) return system_error(errno, folder, "create");
  Status written = write_replica_keys(folder + "/key", keys);
  if (!written.ok()) {
    remove_folder(folder);
    return std::move(written).error();
  }
  return folder;
}

Status ReplicaLauncher::launch(ReplicaId replica, const ReplicaCommand& command,
                               const ReplicaKeys& keys) {
  kill(replica);
  LOCKSTEP_TRY_ASSIGN(const std::string folder, make_folder(keys), "launch");
  const Result<pid_t> pid = start_child(launch_arguments(command, folder));
  if (!pid.ok()) {
    remove_folder(folder);
    return Error(pid.error()).with_context("launch");
  }
  // It stays a zombie until it is reaped here: the pid is its own.
  auto child = ProcessHandle::open(pid.value(), 0);
  if (!child.ok()) {
    ::kill(-pid.value(), SIGKILL);
    (void)reap_child(pid.value());
    remove_folder(folder);
    return std::move(child).error().with_context("launch");
  }
  const auto ticks = start_ticks_of(pid.value());
  std::ofstream(folder + "/" + std::string(kOwnerFile))
      << pid.value() << ' ' << (ticks.ok() ? ticks.value() : 1) << '\n';
  {
    const std::scoped_lock lock(mutex_);
    Replica& entry = replicas_.emplace_back();
    entry.id = replica;
    entry.child = std::move(child).value();
    entry.child_reaped = false;
    entry.folder = folder;
  }
  log_event(LogLevel::kInfo, "replica_launched",
            {{"replica", static_cast<std::uint32_t>(replica)}, {"pid", pid.value()}});
  wakeup_.ring();
  return {};
}

Status ReplicaLauncher::watch(ReplicaId replica, const std::vector<RankProcess>& ranks) {
  const std::scoped_lock lock(mutex_);
  Replica* const entry = find(replica);
  if (entry == nullptr) return Error{ErrorCode::kNotFound, "watch: no such replica was launched"};
  std::vector<ProcessHandle> handles;
  const std::string here = host_name();
  for (const RankProcess& rank : ranks) {
    if (rank.host != here || rank.pid == entry->child.pid()) continue;
    const bool known = std::ranges::any_of(
        handles, [&](const ProcessHandle& handle) { return handle.pid() == rank.pid; });
    if (known) continue;
    auto handle = ProcessHandle::open(rank.pid, rank.start_ticks);
    if (!handle.ok()) return std::move(handle).error().with_context("watch");
    // One that was adopted has lost its parent. While the handle is held the pid is not given
    // again, so this is the parent of that process.
    const bool adopted = std::ranges::any_of(
        entry->ranks, [&](const ProcessHandle& held) { return held.pid() == rank.pid; });
    if (!adopted && parent_of(static_cast<pid_t>(rank.pid)) != entry->child.pid()) {
      return Error{ErrorCode::kPermission,
                   "watch: process " + std::to_string(rank.pid) + " is none of the replica's"};
    }
    handles.push_back(std::move(handle).value());
  }
  entry->ranks = std::move(handles);
  wakeup_.ring();
  return {};
}

Status ReplicaLauncher::adopt(ReplicaId replica, const std::vector<RankProcess>& ranks) {
  kill(replica);
  Replica entry;
  entry.id = replica;
  const std::string here = host_name();
  Status status;
  for (const RankProcess& rank : ranks) {
    if (rank.host != here) continue;
    auto handle = ProcessHandle::open(rank.pid, rank.start_ticks);
    if (handle.ok()) {
      entry.ranks.push_back(std::move(handle).value());
    } else if (status.ok()) {
      status = std::move(handle).error().with_context("adopt");
    }
  }
  if (!status.ok()) {
    kill_processes(entry);
    return status;
  }
  const std::scoped_lock lock(mutex_);
  replicas_.push_back(std::move(entry));
  wakeup_.ring();
  return {};
}

ReplicaLauncher::Replica* ReplicaLauncher::find(ReplicaId replica) {
  const auto found = std::ranges::find_if(
      replicas_, [&](const Replica& entry) { return entry.id == replica && !entry.killed; });
  return found == replicas_.end() ? nullptr : &*found;
}

void ReplicaLauncher::kill_processes(Replica& replica) {
  replica.killed = true;
  for (const ProcessHandle& rank : replica.ranks) rank.kill(SIGKILL);
  // The group of a child that is not reaped yet cannot be another's.
  if (!replica.child_reaped) ::kill(static_cast<pid_t>(-replica.child.pid()), SIGKILL);
}

void ReplicaLauncher::kill(ReplicaId replica) {
  const std::scoped_lock lock(mutex_);
  Replica* const entry = find(replica);
  if (entry == nullptr) return;
  kill_processes(*entry);
  wakeup_.ring();
}

void ReplicaLauncher::kill_all() {
  const std::scoped_lock lock(mutex_);
  for (Replica& entry : replicas_) kill_processes(entry);
  wakeup_.ring();
}

bool ReplicaLauncher::wait_for_killed(int timeout_ms) {
  const auto until = std::chrono::steady_clock::now() + std::chrono::milliseconds(timeout_ms);
  for (;;) {
    {
      const std::scoped_lock lock(mutex_);
      if (std::ranges::none_of(replicas_, [](const Replica& entry) { return entry.killed; })) {
        return true;
      }
    }
    if (std::chrono::steady_clock::now() >= until) return false;
    std::this_thread::sleep_for(std::chrono::milliseconds(2));
  }
}

bool ReplicaLauncher::all_ended(const Replica& replica) {
  return replica.child_reaped &&
         std::ranges::all_of(replica.ranks, [](const ProcessHandle& rank) { return rank.ended(); });
}

// Reaps, and says what has ended of a replica; empty: nothing, or nothing new.
std::string ReplicaLauncher::look(Replica& replica) {
  std::string reason;
  for (std::size_t i = 0; i < replica.ranks.size(); ++i) {
    if (replica.ranks[i].ended() && reason.empty()) {
      reason = "process " + std::to_string(replica.ranks[i].pid()) + " of its ranks has ended";
    }
  }
  if (!replica.child_reaped && replica.child.ended()) {
    const std::string how = reap_child(static_cast<pid_t>(replica.child.pid()));
    replica.child_reaped = true;
    if (reason.empty()) reason = "its process " + std::to_string(replica.child.pid()) + " " + how;
  }
  if (replica.reported || replica.killed || reason.empty()) return {};
  replica.reported = true;
  return reason;
}

// Blocks until a process that has not been seen to end does, or there is something new to watch.
void ReplicaLauncher::wait() {
  std::vector<pollfd> items{{wakeup_.fd(), POLLIN, 0}};
  bool ending = false;
  {
    const std::scoped_lock lock(mutex_);
    for (const Replica& replica : replicas_) {
      if (!replica.child_reaped) items.push_back({replica.child.fd(), POLLIN, 0});
      // Descriptors of ranks that have ended stay readable: they are looked at by time instead.
      for (const ProcessHandle& rank : replica.ranks) {
        if (!rank.ended()) items.push_back({rank.fd(), POLLIN, 0});
      }
      ending = ending || replica.killed;
    }
  }
  constexpr int kEndingMs = 5;
  constexpr int kIdleMs = 1000;
  // A handle that another thread lets go of meanwhile rings.
  (void)::poll(items.data(), items.size(), ending ? kEndingMs : kIdleMs);
  wakeup_.silence();
}

void ReplicaLauncher::run() {
  while (!stopping_.load()) {
    wait();
    std::vector<std::pair<ReplicaId, std::string>> deaths;
    std::vector<std::string> folders;
    {
      const std::scoped_lock lock(mutex_);
      for (auto entry = replicas_.begin(); entry != replicas_.end();) {
        const std::string reason = look(*entry);
        if (!reason.empty()) deaths.emplace_back(entry->id, reason);
        if (entry->killed && all_ended(*entry)) {
          folders.push_back(entry->folder);
          entry = replicas_.erase(entry);
        } else {
          ++entry;
        }
      }
    }
    for (const auto& [replica, reason] : deaths) on_death_(replica, reason);
    for (const std::string& folder : folders) remove_folder(folder);
  }
}

}  // namespace lockstep
