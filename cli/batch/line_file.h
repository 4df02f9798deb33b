// The files of `lockstep batch run`: lines that are read one by one, and lines that are appended
// and found again after a kill.
#pragma once

#include <cstdint>
#include <deque>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_set>

#include "base/file.h"
#include "base/result.h"
#include "scheduler/batch_input.h"

namespace lockstep {

// The input, a bounded piece of it in memory.
class LineSource {
 public:
  static Result<LineSource> open(const std::string& path);

  std::uint64_t num_bytes() const { return size_; }
  // The next line; nothing at the end. Requires: the file was validated.
  Result<std::optional<BatchLine>> next();
  // The whole file, from the start, until the visitor says false.
  Status visit(const std::function<bool(std::string_view piece)>& visitor) const;

 private:
  Status fill();
  Result<std::string> read_piece(std::uint64_t offset) const;

  File file_;
  std::uint64_t size_ = 0;
  std::uint64_t offset_ = 0;
  LineSplitter splitter_;
  std::deque<BatchLine> lines_;
  bool is_at_end_ = false;
};

// Output that is only appended to, by one process at a time. A line that was begun and not ended
// when its writer was killed is removed at the next start.
class LineSink {
 public:
  // Takes up what is there: adds the custom_ids of its lines to `done`. kCorrupt names the line
  // that is none, that comes twice, or whose answer is another model's than `fingerprint`;
  // kUnavailable: another run has the file.
  static Result<LineSink> open(const std::string& path, const std::string& fingerprint,
                               std::unordered_set<std::string>& done);

  // In the file system's cache: it survives this process, and with sync() the machine.
  Status append(std::string_view line);
  Status sync();

 private:
  Status take_up(const std::string& fingerprint, std::unordered_set<std::string>& done);

  File file_;
  std::uint64_t bytes_ = 0;
  bool is_dirty_ = false;
};

}  // namespace lockstep
