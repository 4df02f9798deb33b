#include "scheduler/gateway/launcher/slurm_steps.h"

#include <sys/wait.h>

#include <algorithm>
#include <utility>

#include "base/log.h"
#include "scheduler/gateway/launcher/child_process.h"

namespace lockstep {
namespace {

constexpr std::size_t kMaxRunning = 64;

bool is_number(std::string_view text) {
  return !text.empty() && text.size() <= 10 &&
         text.find_first_not_of("0123456789") == std::string_view::npos;
}

}  // namespace

bool is_step_of(std::string_view step, std::string_view job) {
  const std::size_t dot = step.find('.');
  return dot != std::string_view::npos && is_number(job) && step.substr(0, dot) == job &&
         is_number(step.substr(dot + 1));
}

SlurmSteps::SlurmSteps(std::string job, std::string program)
    : job_(std::move(job)), program_(std::move(program)) {}

SlurmSteps::~SlurmSteps() { reap(true); }

void SlurmSteps::end(std::string_view step) {
  reap(false);
  if (!is_step_of(step, job_) || running_.size() >= kMaxRunning) return;
  const auto child = start_child({program_, "--signal=KILL", std::string(step)});
  log_event(child.ok() ? LogLevel::kInfo : LogLevel::kError, "step_ended_by_us",
            {{"step", step}, {"error", child.ok() ? "" : child.error().message}});
  if (child.ok()) running_.push_back(child.value());
}

void SlurmSteps::reap(bool wait) {
  std::erase_if(running_,
                [wait](pid_t pid) { return ::waitpid(pid, nullptr, wait ? 0 : WNOHANG) != 0; });
}

}  // namespace lockstep
