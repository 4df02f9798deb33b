#include "scheduler/gateway/store/state_directory.h"

#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <utility>

namespace lockstep {
namespace {

constexpr std::uint64_t kMaxLockBytes = 64;

Status make_directory(const std::string& path) {
  if (::mkdir(path.c_str(), 0700) == 0 || errno == EEXIST) return {};
  return system_error(errno, path, "create");
}

// Of the process that holds the lock; "" when it wrote none yet.
std::string holder(const std::string& path) {
  Result<std::string> text = read_file(path, kMaxLockBytes);
  if (!text.ok() || text.value().empty()) return "another process";
  return "process " + text.value().substr(0, text.value().find('\n'));
}

}  // namespace

Status make_state_directory(const std::string& path) {
  LOCKSTEP_TRY(make_directory(path), "state directory");
  struct stat info {};
  if (::stat(path.c_str(), &info) != 0) return system_error(errno, path, "stat");
  if (!S_ISDIR(info.st_mode)) {
    return Error{ErrorCode::kInvalidArgument, path + ": is no directory"};
  }
  if ((info.st_mode & 0077) != 0 || info.st_uid != ::geteuid()) {
    return Error{ErrorCode::kPermission,
                 path + ": holds keys and answers and must be its owner's alone: chmod 700"};
  }
  return make_directory(path + "/files");
}

Result<StateDirectory> StateDirectory::lock(const std::string& path) {
  LOCKSTEP_TRY(make_state_directory(path), "state directory");
  const std::string lock_path = path + "/lock";
  LOCKSTEP_TRY_ASSIGN(File file, File::open_write(lock_path, 0600), "state directory");
  while (::flock(file.fd(), LOCK_EX | LOCK_NB) != 0) {
    if (errno == EINTR) continue;
    if (errno != EWOULDBLOCK) return system_error(errno, lock_path, "lock");
    return Error{ErrorCode::kUnavailable, path + ": is in use by " + holder(lock_path) +
                                              "; stop it first, or give another --state"};
  }
  LOCKSTEP_TRY(file.truncate(0), "state directory");
  const std::string pid = std::to_string(::getpid()) + "\n";
  LOCKSTEP_TRY(file.write_all(0, as_bytes(pid)), "state directory");
  LOCKSTEP_TRY(sync_directory(path), "state directory");
  return StateDirectory(path, std::move(file));
}

std::string StateDirectory::file_path(RequestId file) const {
  return path_ + "/files/" + file.text();
}

std::string api_keys_path(const std::string& state_directory) {
  return state_directory + "/keys.sqlite";
}

}  // namespace lockstep
