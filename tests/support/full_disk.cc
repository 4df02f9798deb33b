// Preloaded into a program (LD_PRELOAD), makes its disk full while the file that FULL_DISK_WHILE
// names is there: what writes at an offset or asks for room gets ENOSPC. SQLite and the gateway's
// reserve do nothing else.
#include <dlfcn.h>
#include <sys/types.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>

namespace {

bool is_full() {
  const char* const path = std::getenv("FULL_DISK_WHILE");
  return path != nullptr && ::access(path, F_OK) == 0;
}

template <typename Function>
Function* next(const char* name) {
  return reinterpret_cast<Function*>(::dlsym(RTLD_NEXT, name));
}

}  // namespace

extern "C" {

ssize_t pwrite64(int fd, const void* buf, size_t n, off64_t offset) {
  static auto* const real = next<ssize_t(int, const void*, size_t, off64_t)>("pwrite64");
  if (is_full()) {
    errno = ENOSPC;
    return -1;
  }
  return real(fd, buf, n, offset);
}

int posix_fallocate(int fd, off_t offset, off_t len) {
  static auto* const real = next<int(int, off_t, off_t)>("posix_fallocate");
  return is_full() ? ENOSPC : real(fd, offset, len);
}

int posix_fallocate64(int fd, off64_t offset, off64_t len) {
  static auto* const real = next<int(int, off64_t, off64_t)>("posix_fallocate64");
  return is_full() ? ENOSPC : real(fd, offset, len);
}

}  // extern "C"
