#include "base/file.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <utility>

namespace lockstep {
namespace {

ErrorCode code_of_errno(int number) {
  switch (number) {
    case ENOENT:
    case ENOTDIR:
      return ErrorCode::kNotFound;
    case EACCES:
    case EPERM:
    case EROFS:
      return ErrorCode::kPermission;
    case ENOSPC:
    case EDQUOT:
    case ENOMEM:
    case EFBIG:
      return ErrorCode::kExhausted;
    default:
      return ErrorCode::kIo;
  }
}

}  // namespace

Error system_error(int number, const std::string& path, const std::string& what) {
  return Error{code_of_errno(number), path + ": " + what + ": " + std::strerror(number)};
}

File::File(File&& other) noexcept
    : fd_(std::exchange(other.fd_, -1)), path_(std::move(other.path_)) {}

File& File::operator=(File&& other) noexcept {
  std::swap(fd_, other.fd_);
  std::swap(path_, other.path_);
  return *this;
}

File::~File() {
  if (fd_ >= 0) ::close(fd_);
}

Result<File> File::open_read(const std::string& path) {
  const int fd = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (fd < 0) return system_error(errno, path, "open");
  return File(fd, path);
}

Result<File> File::open_write(const std::string& path, unsigned mode) {
  const int fd = ::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, mode);
  if (fd < 0) return system_error(errno, path, "create");
  return File(fd, path);
}

Result<std::uint64_t> File::size() const {
  struct stat info {};
  if (::fstat(fd_, &info) != 0) return system_error(errno, path_, "stat");
  if (!S_ISREG(info.st_mode)) {
    return Error{ErrorCode::kInvalidArgument, path_ + ": is no regular file"};
  }
  return static_cast<std::uint64_t>(info.st_size);
}

Status File::read_exact(std::uint64_t offset, std::span<std::uint8_t> out) const {
  while (!out.empty()) {
    const ssize_t got = ::pread(fd_, out.data(), out.size(), static_cast<off_t>(offset));
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return system_error(errno, path_, "read at byte " + std::to_string(offset));
    if (got == 0) {
      return Error{ErrorCode::kCorrupt, path_ + ": ends at byte " + std::to_string(offset) + ", " +
                                            std::to_string(out.size()) + " bytes too early"};
    }
    offset += static_cast<std::uint64_t>(got);
    out = out.subspan(static_cast<std::size_t>(got));
  }
  return {};
}

Status File::write_all(std::uint64_t offset, ByteView bytes) const {
  while (!bytes.empty()) {
    const ssize_t put = ::pwrite(fd_, bytes.data(), bytes.size(), static_cast<off_t>(offset));
    if (put < 0 && errno == EINTR) continue;
    if (put < 0) return system_error(errno, path_, "write at byte " + std::to_string(offset));
    offset += static_cast<std::uint64_t>(put);
    bytes = bytes.subspan(static_cast<std::size_t>(put));
  }
  return {};
}

Status File::truncate(std::uint64_t bytes) const {
  if (::ftruncate(fd_, static_cast<off_t>(bytes)) != 0) {
    return system_error(errno, path_, "truncate");
  }
  return {};
}

Status File::sync() const {
  if (::fsync(fd_) != 0) return system_error(errno, path_, "sync");
  return {};
}

MappedFile::MappedFile(MappedFile&& other) noexcept
    : data_(std::exchange(other.data_, nullptr)), size_(std::exchange(other.size_, 0)) {}

MappedFile& MappedFile::operator=(MappedFile&& other) noexcept {
  std::swap(data_, other.data_);
  std::swap(size_, other.size_);
  return *this;
}

MappedFile::~MappedFile() {
  if (data_ != nullptr) ::munmap(const_cast<std::uint8_t*>(data_), size_);
}

Result<MappedFile> MappedFile::open(const std::string& path) {
  LOCKSTEP_TRY_ASSIGN(const File file, File::open_read(path), "map");
  LOCKSTEP_TRY_ASSIGN(const std::uint64_t bytes, file.size(), "map");
  MappedFile mapped;
  if (bytes == 0) return mapped;  // mmap refuses length 0.
  void* data = ::mmap(nullptr, bytes, PROT_READ, MAP_PRIVATE, file.fd(), 0);
  if (data == MAP_FAILED) return system_error(errno, path, "map");
  mapped.data_ = static_cast<const std::uint8_t*>(data);
  mapped.size_ = bytes;
  return mapped;
}

Result<std::string> read_file(const std::string& path, std::uint64_t max_bytes) {
  LOCKSTEP_TRY_ASSIGN(const File file, File::open_read(path), "read");
  LOCKSTEP_TRY_ASSIGN(const std::uint64_t bytes, file.size(), "read");
  if (bytes > max_bytes) {
    return Error{ErrorCode::kExhausted, path + ": has " + std::to_string(bytes) +
                                            " bytes, at most " + std::to_string(max_bytes) +
                                            " are read"};
  }
  std::string text(bytes, '\0');
  LOCKSTEP_TRY(file.read_exact(0, {reinterpret_cast<std::uint8_t*>(text.data()), text.size()}),
               "read");
  return text;
}

Status sync_directory(const std::string& directory) {
  const int fd = ::open(directory.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (fd < 0) return system_error(errno, directory, "open");
  const int failed = ::fsync(fd);
  const int number = errno;
  ::close(fd);
  if (failed != 0) return system_error(number, directory, "sync");
  return {};
}

}  // namespace lockstep
