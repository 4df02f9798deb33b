// Files: an owned descriptor, whole reads and writes at an offset, a read-only mapping. Errors name
// the path.
#pragma once

#include <cstdint>
#include <string>

#include "base/bytes.h"
#include "base/result.h"

namespace lockstep {

class File {
 public:
  File() = default;
  File(File&& other) noexcept;
  File& operator=(File&& other) noexcept;
  ~File();

  static Result<File> open_read(const std::string& path);
  // Read and write; created with `mode` if missing, never truncated.
  static Result<File> open_write(const std::string& path, unsigned mode = 0644);

  int fd() const { return fd_; }
  const std::string& path() const { return path_; }
  Result<std::uint64_t> size() const;
  // Fills `out` from `offset`; kCorrupt when the file ends before. Thread-safe.
  Status read_exact(std::uint64_t offset, std::span<std::uint8_t> out) const;
  // kExhausted when the disk is full, kIo for the rest.
  Status write_all(std::uint64_t offset, ByteView bytes) const;
  Status truncate(std::uint64_t bytes) const;
  Status sync() const;

 private:
  File(int fd, std::string path) : fd_(fd), path_(std::move(path)) {}
  int fd_ = -1;
  std::string path_;
};

// A whole file, read-only, mapped. Not for files that another process may truncate while they are
// in use.
class MappedFile {
 public:
  MappedFile() = default;
  MappedFile(MappedFile&& other) noexcept;
  MappedFile& operator=(MappedFile&& other) noexcept;
  ~MappedFile();

  static Result<MappedFile> open(const std::string& path);
  ByteView bytes() const { return {data_, size_}; }

 private:
  const std::uint8_t* data_ = nullptr;
  std::size_t size_ = 0;
};

// The whole file; kExhausted when it is longer than `max_bytes`.
Result<std::string> read_file(const std::string& path, std::uint64_t max_bytes);

// Makes a rename or a new entry in `directory` durable.
Status sync_directory(const std::string& directory);

// The error of errno `number` with "PATH: WHAT: " in front: kNotFound, kPermission, kExhausted
// (disk full) or kIo.
Error system_error(int number, const std::string& path, const std::string& what);

}  // namespace lockstep
