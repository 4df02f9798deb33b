// Ends steps of our own Slurm job: what a gateway can do about a replica that hangs on another
// host.
#pragma once

#include <sys/types.h>

#include <string>
#include <string_view>
#include <vector>

namespace lockstep {

// Whether `step` is "JOB.STEP" of this very job, numbers alone. A replica says its step itself, so
// this is all that it may have ended.
bool is_step_of(std::string_view step, std::string_view job);

class SlurmSteps {
 public:
  // `job` is SLURM_JOB_ID; empty: there is none, and nothing is ever ended. `program` is looked up
  // in PATH.
  explicit SlurmSteps(std::string job, std::string program = "scancel");
  // Waits for what was begun.
  ~SlurmSteps();
  SlurmSteps(const SlurmSteps&) = delete;
  SlurmSteps& operator=(const SlurmSteps&) = delete;

  // SIGKILL to every task of the step. Begins and returns.
  void end(std::string_view step);

 private:
  void reap(bool wait);

  const std::string job_;
  const std::string program_;
  std::vector<pid_t> running_;  // At most one for each replica's fence in half a minute.
};

}  // namespace lockstep
