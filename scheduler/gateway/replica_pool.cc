#include "scheduler/gateway/replica_pool.h"

#include <unistd.h>

#include <utility>

#include "base/crash_point.h"
#include "base/log.h"

namespace lockstep {

namespace {

constexpr BackoffConfig kBackoff{};
constexpr std::int64_t kKeyFilesMs = 250;  // Between two looks at the files of attached replicas.

}  // namespace

ReplicaPool::ReplicaPool(const GatewayConfig& config, Parts parts)
    : config_(config), parts_(std::move(parts)), keys_(parts_.key_folder) {
  for (int i = 0; i < config.replicas; ++i) {
    entries_.try_emplace(ReplicaId{static_cast<std::uint32_t>(i)}, kBackoff);
  }
}

void ReplicaPool::begin(const std::vector<ReplicaRecord>& known, std::int64_t now_ms) {
  for (const ReplicaRecord& record : known) {
    const ReplicaId replica = record.replica;
    if (adopt(replica, record, now_ms)) {
      log_event(LogLevel::kInfo, "replica_adopted", {{"replica", replica_name(replica)}});
    }
  }
  has_begun_ = true;
  for (auto& [replica, entry] : entries_) {
    if (entry.life == Life::kWaiting) start(replica, now_ms);
  }
}

// It runs, and has the key that was handed out: it will say Hello within a beat or two.
bool ReplicaPool::adopt(ReplicaId replica, const ReplicaRecord& record, std::int64_t now_ms) {
  const auto found = entries_.find(replica);
  const auto key = CurvePublicKey::parse(record.public_key);
  if (parts_.launcher != nullptr) {
    const Status adopted = parts_.launcher->adopt(replica, record.processes);
    if (!adopted.ok()) return false;
    if (found == entries_.end() || !key.ok() || record.processes.empty()) {
      parts_.launcher->kill(replica);
      return false;
    }
  }
  if (found == entries_.end() || !key.ok()) return false;
  if (parts_.launcher == nullptr && keys_.look(replica) == KeyFolder::Key::kGone) return false;
  Entry& entry = found->second;
  entry.key = key.value();
  entry.life = Life::kStarting;
  entry.since_ms = now_ms;
  entry.due_ms = now_ms + config_.lease_ms;
  parts_.transport->allow(replica, entry.key);
  CRASH_POINT("gateway.replica_adopted");
  return true;
}

void ReplicaPool::start(ReplicaId replica, std::int64_t now_ms) {
  Entry& entry = entries_.at(replica);
  const CurveKeyPair pair = make_curve_key_pair(*parts_.random);
  entry.key = pair.public_key;
  entry.life = Life::kStarting;
  entry.since_ms = now_ms;
  entry.due_ms = now_ms + config_.start_timeout_ms;
  parts_.transport->allow(replica, entry.key);
  remember(replica, {});
  CRASH_POINT("gateway.replica_key");
  const Status handed = hand_out_keys(replica, {.own = pair, .gateway = parts_.gateway_key});
  CRASH_POINT("gateway.replica_started");
  if (handed.ok()) return;
  log_event(LogLevel::kError, "replica_not_started",
            {{"replica", replica_name(replica)}, {"reason", handed.error().message}});
  lose(replica, handed.error().message);
}

// Posted: whoever hears of it may be in the middle of something.
void ReplicaPool::lose(ReplicaId replica, std::string why) {
  parts_.post([this, replica, why = std::move(why)] { parts_.lost(replica, why); });
}

Status ReplicaPool::hand_out_keys(ReplicaId replica, const ReplicaKeys& keys) {
  if (parts_.launcher == nullptr) return keys_.offer(replica, keys);
  ReplicaCommand command;
  command.program = config_.program;
  command.model = config_.model;
  command.gateway = parts_.transport->endpoint();
  command.options = config_.worker_options;
  command.ranks = config_.ranks;
  command.by_mpi = config_.by_mpi;
  command.as_root = ::geteuid() == 0;
  return parts_.launcher->launch(replica, command, keys);
}

void ReplicaPool::remember(ReplicaId replica, const std::vector<RankProcess>& processes) {
  ReplicaRecord record;
  record.replica = replica;
  record.name = replica_name(replica);
  record.public_key = entries_.at(replica).key.text();
  record.processes = processes;
  // A row that is missing costs a restart of the replica, nothing else.
  parts_.store->put(std::move(record), [](const Status& status) {
    if (status.ok()) return;
    log_event(LogLevel::kWarning, "replica_row_not_stored", {{"reason", status.error().message}});
  });
}

void ReplicaPool::hello(ReplicaId replica, const HelloMessage& message, std::int64_t now_ms) {
  const auto found = entries_.find(replica);
  if (found == entries_.end()) return;
  Entry& entry = found->second;
  if (entry.life == Life::kUp) return;  // The same processes, another generation.
  if (parts_.launcher != nullptr) {
    const Status watched = parts_.launcher->watch(replica, message.ranks);
    if (!watched.ok()) {
      lose(replica, watched.error().message);
      return;
    }
  }
  entry.life = Life::kUp;
  entry.since_ms = now_ms;
  remember(replica, message.ranks);
  log_event(LogLevel::kInfo, "replica_ready",
            {{"replica", replica_name(replica)},
             {"ranks", std::to_string(message.ranks.size())},
             {"device", message.device}});
}

void ReplicaPool::fence(ReplicaId replica, const std::string& reason, std::int64_t now_ms) {
  const auto found = entries_.find(replica);
  if (found == entries_.end()) return;
  Entry& entry = found->second;
  parts_.transport->fence(replica);
  if (parts_.launcher != nullptr) {
    parts_.launcher->kill(replica);
  } else {
    if (parts_.end_step) parts_.end_step(keys_.step(replica));
    keys_.withdraw(replica);
  }
  const std::int64_t lived_ms = entry.life == Life::kUp ? now_ms - entry.since_ms : 0;
  const std::int64_t wait_ms = entry.backoff.next_ms(lived_ms, *parts_.random);
  entry.life = Life::kWaiting;
  entry.since_ms = now_ms;
  entry.due_ms = now_ms + wait_ms;
  ++entry.restarts;
  log_event(LogLevel::kWarning, "replica_fenced",
            {{"replica", replica_name(replica)},
             {"reason", reason},
             {"restart_in_ms", std::to_string(wait_ms)}});
}

void ReplicaPool::tick(std::int64_t now_ms) {
  if (!has_begun_ || is_stopping_) return;
  const bool looks_at_keys = parts_.launcher == nullptr && now_ms - keys_seen_ms_ >= kKeyFilesMs;
  if (looks_at_keys) keys_seen_ms_ = now_ms;
  for (auto& [replica, entry] : entries_) {
    if (looks_at_keys) watch_key(replica, entry, now_ms);
    if (entry.life == Life::kUp || now_ms < entry.due_ms) continue;
    if (entry.life == Life::kWaiting) {
      start(replica, now_ms);
    } else if (parts_.launcher != nullptr || keys_.look(replica) == KeyFolder::Key::kTaken) {
      entry.due_ms = now_ms + config_.start_timeout_ms;
      lose(replica, "no Hello in " + std::to_string(now_ms - entry.since_ms) + " ms");
    }
  }
}

// Whoever starts an attached replica takes its key away when it has ended.
void ReplicaPool::watch_key(ReplicaId replica, Entry& entry, std::int64_t now_ms) {
  if (entry.life == Life::kWaiting || keys_.look(replica) != KeyFolder::Key::kGone) return;
  entry.due_ms = now_ms + config_.start_timeout_ms;
  keys_.withdraw(replica);  // Its step has ended already.
  lose(replica, "its key file was removed: its processes have ended");
}

void ReplicaPool::close() {
  if (parts_.launcher != nullptr) return;
  for (const auto& [replica, entry] : entries_) {
    if (keys_.look(replica) == KeyFolder::Key::kTaken) keys_.withdraw(replica);
  }
}

std::vector<ReplicaId> ReplicaPool::ids() const {
  std::vector<ReplicaId> ids;
  for (const auto& [replica, entry] : entries_) ids.push_back(replica);
  return ids;
}

ReplicaPool::View ReplicaPool::view(ReplicaId replica) const {
  const auto found = entries_.find(replica);
  if (found == entries_.end()) return {.state = "unknown"};
  static constexpr const char* kNames[] = {"waiting", "starting", "ready"};
  return {.state = kNames[static_cast<std::size_t>(found->second.life)],
          .restarts = found->second.restarts};
}

}  // namespace lockstep
