// Whether anybody works on a step. How long it has been running tells little: on a busy machine, or
// with a large model, a step takes as long as it takes; one that hangs asks for no processor.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "base/wire.h"

namespace lockstep {

struct WorkSample {
  bool is_stopped = false;      // By a signal or a debugger.
  std::uint64_t demand_ns = 0;  // Of all threads: processor time that they used or waited for.
};

// Of a process (/proc/PID/stat and /proc/PID/task/*/schedstat); nothing when they cannot be read.
std::optional<WorkSample> sample_work(std::int64_t pid);

// The pure part: what is left when the samples are taken.
class StallMeter {
 public:
  // How long nobody has been working on the step that has been running for `step_age_ms` (0: none
  // is). Nobody works when one process is stopped, or all together want less than a tenth of one
  // processor. Without samples the age is all that is known.
  std::uint32_t update(std::int64_t now_ms, std::uint32_t step_age_ms,
                       std::span<const WorkSample> samples);

 private:
  bool is_working(std::int64_t now_ms, std::span<const WorkSample> samples);

  std::int64_t worked_ms_ = 0;
  std::int64_t looked_ms_ = 0;
  std::uint64_t demand_ns_ = 0;
};

// Of the processes of a replica on the leader's host.
class WorkWatch {
 public:
  explicit WorkWatch(std::span<const RankProcess> ranks);
  std::uint32_t stalled_ms(std::int64_t now_ms, std::uint32_t step_age_ms);

 private:
  std::vector<std::int64_t> pids_;
  StallMeter meter_;
};

}  // namespace lockstep
