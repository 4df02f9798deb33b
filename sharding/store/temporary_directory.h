// A directory under a temporary name next to its final one; removed with all it holds unless it was
// renamed.
#pragma once

#include <string>

#include "base/result.h"

namespace lockstep {

class TemporaryDirectory {
 public:
  TemporaryDirectory(TemporaryDirectory&& other) noexcept;
  TemporaryDirectory& operator=(TemporaryDirectory&&) = delete;
  ~TemporaryDirectory();

  // Makes "TARGET.partial-XXXXXX". kInvalidArgument when `target` exists.
  static Result<TemporaryDirectory> create(const std::string& target);

  const std::string& path() const { return path_; }

  // Syncs the directory, gives it its final name and syncs the parent. kInvalidArgument when the
  // name was taken since.
  Status rename_to_target();

 private:
  TemporaryDirectory(std::string path, std::string target)
      : path_(std::move(path)), target_(std::move(target)) {}

  std::string path_;
  std::string target_;
};

// The directory that holds `path`.
std::string parent_directory(const std::string& path);

}  // namespace lockstep
