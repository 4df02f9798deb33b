#include "worker/service/work_watch.h"

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <string>
#include <utility>

#include "base/process.h"

namespace lockstep {

std::optional<WorkSample> sample_work(std::int64_t pid) {
  const auto stat = process_stat(pid);
  if (!stat.ok()) return std::nullopt;
  WorkSample sample;
  sample.is_stopped = stat.value().starts_with('T') || stat.value().starts_with('t');
  std::error_code error;
  bool found = false;
  for (auto thread =
           std::filesystem::directory_iterator("/proc/" + std::to_string(pid) + "/task", error);
       !error && thread != std::filesystem::directory_iterator(); thread.increment(error)) {
    std::uint64_t used_ns = 0;
    std::uint64_t waited_ns = 0;
    if (!(std::ifstream(thread->path() / "schedstat") >> used_ns >> waited_ns)) continue;
    sample.demand_ns += used_ns + waited_ns;
    found = true;
  }
  return found ? std::optional(sample) : std::nullopt;
}

bool StallMeter::is_working(std::int64_t now_ms, std::span<const WorkSample> samples) {
  std::uint64_t demand_ns = 0;
  for (const WorkSample& sample : samples) demand_ns += sample.demand_ns;
  const std::uint64_t before_ns = std::exchange(demand_ns_, demand_ns);
  const std::int64_t elapsed_ms = now_ms - std::exchange(looked_ms_, now_ms);
  if (std::ranges::any_of(samples, [](const auto& one) { return one.is_stopped; })) return false;
  // A thread that has ended takes its time with it.
  const std::uint64_t more_ns = demand_ns > before_ns ? demand_ns - before_ns : 0;
  return more_ns / 1'000'000 * 10 >= static_cast<std::uint64_t>(elapsed_ms) && more_ns > 0;
}

std::uint32_t StallMeter::update(std::int64_t now_ms, std::uint32_t step_age_ms,
                                 std::span<const WorkSample> samples) {
  if (is_working(now_ms, samples) || step_age_ms == 0) worked_ms_ = now_ms;
  const std::int64_t stalled_ms = now_ms - worked_ms_;
  return static_cast<std::uint32_t>(std::min<std::int64_t>(stalled_ms, step_age_ms));
}

WorkWatch::WorkWatch(std::span<const RankProcess> ranks) {
  for (const RankProcess& rank : ranks) {
    if (rank.host == ranks.front().host) pids_.push_back(rank.pid);
  }
  std::ranges::sort(pids_);
  pids_.erase(std::unique(pids_.begin(), pids_.end()), pids_.end());  // Ranks that are threads.
}

std::uint32_t WorkWatch::stalled_ms(std::int64_t now_ms, std::uint32_t step_age_ms) {
  std::vector<WorkSample> samples;
  for (const std::int64_t pid : pids_) {
    if (const auto sample = sample_work(pid)) samples.push_back(*sample);
  }
  return meter_.update(now_ms, step_age_ms, samples);
}

}  // namespace lockstep
