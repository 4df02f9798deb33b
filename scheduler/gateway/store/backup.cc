#include "scheduler/gateway/store/backup.h"

#include <sqlite3.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <utility>

#include "base/crash_point.h"
#include "base/file.h"

namespace lockstep {
namespace {

constexpr int kPagesAtOnce = 1024;

std::string partial_path(const std::string& path) { return path + ".partial"; }

std::string parent_of(const std::string& path) {
  const std::size_t slash = path.rfind('/');
  if (slash == std::string::npos) return ".";
  return slash == 0 ? "/" : path.substr(0, slash);
}

}  // namespace

void Backup::Finish::operator()(sqlite3_backup* backup) const { sqlite3_backup_finish(backup); }

Result<Backup> Backup::begin(Database& source, const std::string& path) {
  if (::access(path.c_str(), F_OK) == 0) {
    return Error{ErrorCode::kInvalidArgument, path + ": is there already; give another name"};
  }
  const std::string partial = partial_path(path);
  if (::unlink(partial.c_str()) != 0 && errno != ENOENT) {
    return system_error(errno, partial, "remove");
  }
  LOCKSTEP_TRY(File::open_write(partial, 0600), "backup");
  LOCKSTEP_TRY_ASSIGN(Database copy, Database::open(partial, {.exclusive = false}), "backup");
  sqlite3_backup* backup = sqlite3_backup_init(copy.handle(), "main", source.handle(), "main");
  if (backup == nullptr) return database_error(copy.handle(), "backup");
  return Backup(path, std::move(copy), backup);
}

Result<bool> Backup::step() {
  const int code = sqlite3_backup_step(backup_.get(), kPagesAtOnce);
  CRASH_POINT("store.backup");
  if (code == SQLITE_OK || code == SQLITE_BUSY || code == SQLITE_LOCKED) return true;
  const bool is_whole = code == SQLITE_DONE;
  const int finished = sqlite3_backup_finish(backup_.release());
  if (!is_whole || finished != SQLITE_OK) {
    Error error = database_error(copy_->handle(), "backup");
    copy_.reset();
    ::unlink(partial_path(path_).c_str());
    return error;
  }
  Status named = name_copy();
  if (!named.ok()) return std::move(named).error().with_context("backup");
  return false;
}

Status Backup::name_copy() {
  // A file alone, without a log beside it.
  LOCKSTEP_TRY(copy_->execute("PRAGMA journal_mode=DELETE"), "close");
  copy_.reset();
  const std::string partial = partial_path(path_);
  LOCKSTEP_TRY_ASSIGN(const File file, File::open_write(partial), "sync");
  LOCKSTEP_TRY(file.sync(), "sync");
  CRASH_POINT("store.backup_before_name");
  if (std::rename(partial.c_str(), path_.c_str()) != 0) {
    return system_error(errno, path_, "rename");
  }
  return sync_directory(parent_of(path_));
}

}  // namespace lockstep
