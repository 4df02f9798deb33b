// A bar for people who wait: one line on stderr, rewritten in place, and nothing when stderr is no
// terminal.
#pragma once

#include <cstdint>
#include <string>

#include "base/clock.h"

namespace lockstep {

// The line after `elapsed_s` seconds, at most `columns` wide:
// "[=====>     ]  45.1 MB / 98.4 MB   46%  120 MB/s  ETA 3s". The bar is left out where there is no
// room.
std::string progress_line(std::uint64_t done, std::uint64_t total, double elapsed_s, int columns);

// One thread.
class ProgressBar {
 public:
  explicit ProgressBar(const Clock& clock);
  ~ProgressBar();  // Clears the line.
  ProgressBar(const ProgressBar&) = delete;
  ProgressBar& operator=(const ProgressBar&) = delete;

  // Redraws at most ten times a second.
  void update(std::uint64_t done, std::uint64_t total);

 private:
  const Clock* clock_;
  bool terminal_;
  std::int64_t start_ns_;
  std::int64_t drawn_ns_;
  bool drawn_ = false;
};

}  // namespace lockstep
