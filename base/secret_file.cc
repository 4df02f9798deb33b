#include "base/secret_file.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>

#include "base/descriptor.h"
#include "base/file.h"

namespace lockstep {
namespace {

Error not_private(const std::string& path, const char* why) {
  return {ErrorCode::kPermission,
          path + ": " + why + "; it holds a secret: chown it to this user and chmod 600"};
}

}  // namespace

Status write_secret_file(const std::string& path, std::string_view text) {
  const Descriptor file(
      ::open(path.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600));
  if (file.get() < 0) {
    if (errno == EEXIST) {
      return Error{ErrorCode::kInvalidArgument,
                   path + ": exists already, and a secret is not overwritten; move it away"};
    }
    return system_error(errno, path, "create");
  }
  while (!text.empty()) {
    const ssize_t written = ::write(file.get(), text.data(), text.size());
    if (written < 0 && errno == EINTR) continue;
    if (written < 0) return system_error(errno, path, "write");
    text.remove_prefix(static_cast<std::size_t>(written));
  }
  if (::fsync(file.get()) != 0) return system_error(errno, path, "sync");
  return {};
}

Result<std::string> read_secret_file(const std::string& path) {
  const Descriptor file(::open(path.c_str(), O_RDONLY | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK));
  if (file.get() < 0) {
    if (errno == ELOOP) return not_private(path, "is a symbolic link");
    return system_error(errno, path, "open");
  }
  struct stat info {};
  if (::fstat(file.get(), &info) != 0) return system_error(errno, path, "stat");
  if (!S_ISREG(info.st_mode)) return not_private(path, "is no regular file");
  if (info.st_uid != ::geteuid()) return not_private(path, "belongs to another user");
  if ((info.st_mode & 077) != 0) return not_private(path, "can be read by group or others");
  std::string text(kMaxSecretFileBytes + 1, '\0');
  std::size_t size = 0;
  while (size < text.size()) {
    const ssize_t got = ::read(file.get(), text.data() + size, text.size() - size);
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return system_error(errno, path, "read");
    if (got == 0) break;
    size += static_cast<std::size_t>(got);
  }
  if (size > kMaxSecretFileBytes) {
    return Error{ErrorCode::kExhausted,
                 path + ": longer than " + std::to_string(kMaxSecretFileBytes) + " bytes"};
  }
  text.resize(size);
  return text;
}

}  // namespace lockstep
