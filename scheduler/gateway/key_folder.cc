#include "scheduler/gateway/key_folder.h"

#include <unistd.h>

#include <cerrno>
#include <cstdio>

#include "base/file.h"

namespace lockstep {

namespace {

constexpr std::uint64_t kMaxStepBytes = 64;

}  // namespace

std::string replica_name(ReplicaId replica) {
  return "replica-" + std::to_string(static_cast<std::uint32_t>(replica));
}

std::string KeyFolder::path(ReplicaId replica, const char* ending) const {
  return folder_ + "/" + replica_name(replica) + ending;
}

Status KeyFolder::offer(ReplicaId replica, const ReplicaKeys& keys) const {
  withdraw(replica);
  const std::string written = path(replica, ".new");
  (void)::unlink(written.c_str());  // A gateway that was killed left it.
  LOCKSTEP_TRY(write_replica_keys(written, keys), "key file");
  const std::string offered = path(replica, ".key");
  if (std::rename(written.c_str(), offered.c_str()) != 0) {
    return system_error(errno, offered, "rename");
  }
  return {};
}

KeyFolder::Key KeyFolder::look(ReplicaId replica) const {
  // In the order in which a key moves: one that is taken meanwhile is seen.
  if (::access(path(replica, ".key").c_str(), F_OK) == 0) return Key::kOffered;
  if (::access(path(replica, ".taken").c_str(), F_OK) == 0) return Key::kTaken;
  return Key::kGone;
}

std::string KeyFolder::step(ReplicaId replica) const {
  const auto text = read_file(path(replica, ".step"), kMaxStepBytes);
  return text.ok() ? text.value().substr(0, text.value().find('\n')) : "";
}

void KeyFolder::withdraw(ReplicaId replica) const {
  (void)::unlink(path(replica, ".key").c_str());
  (void)::unlink(path(replica, ".taken").c_str());
  (void)::unlink(path(replica, ".step").c_str());
}

}  // namespace lockstep
