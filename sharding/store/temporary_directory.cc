#include "sharding/store/temporary_directory.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

#include <cerrno>
#include <filesystem>
#include <utility>

#include "base/file.h"

namespace lockstep {
namespace {

Error exists(const std::string& target) {
  return Error{ErrorCode::kInvalidArgument,
               target + ": exists; choose another directory or remove it first"};
}

}  // namespace

TemporaryDirectory::TemporaryDirectory(TemporaryDirectory&& other) noexcept
    : path_(std::exchange(other.path_, {})), target_(std::move(other.target_)) {}

TemporaryDirectory::~TemporaryDirectory() {
  std::error_code ignored;  // Destructors do not report.
  if (!path_.empty()) std::filesystem::remove_all(path_, ignored);
}

Result<TemporaryDirectory> TemporaryDirectory::create(const std::string& target) {
  std::string name = target;
  while (name.size() > 1 && name.ends_with('/')) name.pop_back();
  struct stat info {};
  if (::lstat(name.c_str(), &info) == 0) return exists(name);
  std::string path = name + ".partial-XXXXXX";
  if (::mkdtemp(path.data()) == nullptr) return system_error(errno, path, "create directory");
  TemporaryDirectory directory(path, name);
  // mkdtemp gives 0700; every rank must be able to read a store.
  if (::chmod(path.c_str(), 0755) != 0) return system_error(errno, path, "change mode");
  return directory;
}

Status TemporaryDirectory::rename_to_target() {
  LOCKSTEP_TRY(sync_directory(path_), "store");
  if (::renameat2(AT_FDCWD, path_.c_str(), AT_FDCWD, target_.c_str(), RENAME_NOREPLACE) != 0) {
    if (errno == EEXIST) return exists(target_);
    // Some file systems know no RENAME_NOREPLACE; rename refuses a directory that is not empty by
    // itself.
    if (errno != EINVAL || ::rename(path_.c_str(), target_.c_str()) != 0) {
      return system_error(errno, target_, "rename");
    }
  }
  path_.clear();
  return sync_directory(parent_directory(target_));
}

std::string parent_directory(const std::string& path) {
  const std::filesystem::path parent = std::filesystem::path(path).parent_path();
  return parent.empty() ? "." : parent.string();
}

}  // namespace lockstep
