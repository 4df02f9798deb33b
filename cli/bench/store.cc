#include "cli/bench/store.h"

#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <condition_variable>
#include <deque>
#include <filesystem>
#include <memory>
#include <mutex>
#include <optional>
#include <thread>
#include <utility>
#include <vector>

#include "base/clock.h"
#include "base/file.h"
#include "base/random.h"
#include "cli/output.h"
#include "scheduler/state.h"

namespace lockstep {
namespace {

constexpr int kSubmitters = 2;  // As the gateway has I/O threads.
constexpr int kSyncs = 200;
constexpr std::size_t kPromptTokens = 128;
constexpr std::size_t kBodyBytes = 600;

double percentile(std::vector<double> values, double share) {
  if (values.empty()) return 0;
  std::ranges::sort(values);
  return values[static_cast<std::size_t>(share * static_cast<double>(values.size() - 1))];
}

double ms_since(std::int64_t start_ns) {
  return static_cast<double>(system_clock().monotonic_ns() - start_ns) * 1e-6;
}

// Of appending a page to a file and syncing it, in the folder of the database.
Result<std::vector<double>> measure_syncs(const std::string& path) {
  LOCKSTEP_TRY_ASSIGN(const File file, File::open_write(path, 0600), "fsync");
  const Bytes page(4096, 1);
  std::vector<double> times_ms;
  for (std::uint64_t i = 0; i < kSyncs; ++i) {
    const std::int64_t start_ns = system_clock().monotonic_ns();
    LOCKSTEP_TRY(file.write_all(i * page.size(), page), "fsync");
    if (::fdatasync(file.fd()) != 0) return system_error(errno, path, "fdatasync");
    times_ms.push_back(ms_since(start_ns));
  }
  std::filesystem::remove(path);
  return times_ms;
}

// Producers that each commit one job after the other: whose commit is durable gets in line again.
class Load {
 public:
  Load(JobStore& store, const StoreOptions& options)
      : store_(store), left_(options.jobs), open_(options.jobs) {
    for (int i = 0; i < options.producers; ++i) ready_.push_back(i);
  }

  // The time of every commit; the first error.
  Result<std::vector<double>> run() {
    std::vector<std::thread> threads;
    for (int i = 0; i < kSubmitters; ++i) threads.emplace_back([this] { submit_jobs(); });
    for (std::thread& thread : threads) thread.join();
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [this] { return open_ == 0; });
    if (!status_.ok()) return std::move(status_).error();
    return std::move(times_ms_);
  }

 private:
  void submit_jobs() {
    JobRecord job;
    job.tenant = "bench";
    job.route = "/v1/jobs";
    job.kind = JobKind::kJob;
    job.request_json = std::string(kBodyBytes, 'x');
    job.prompt.assign(kPromptTokens, 7);
    while (const auto producer = next(job.id)) {
      job.created_ms = job.id.unix_ms();
      const std::int64_t start_ns = system_clock().monotonic_ns();
      store_.commit({InsertJob{job}}, [this, producer = *producer, start_ns](const Status& status) {
        finish(producer, status, ms_since(start_ns));
      });
    }
  }

  // A producer that has nothing open; nothing when all jobs were given.
  std::optional<int> next(RequestId& id) {
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [this] { return left_ == 0 || !ready_.empty(); });
    if (left_ == 0) return std::nullopt;
    --left_;
    id = ids_.next(system_clock().unix_ms());
    const int producer = ready_.front();
    ready_.pop_front();
    return producer;
  }

  void finish(int producer, const Status& status, double ms) {
    {
      const std::scoped_lock lock(mutex_);
      if (!status.ok() && status_.ok()) status_ = status;
      times_ms_.push_back(ms);
      ready_.push_back(producer);
      --open_;
    }
    changed_.notify_all();
  }

  JobStore& store_;
  RequestIdSource ids_{system_random()};
  std::mutex mutex_;
  std::condition_variable changed_;
  std::deque<int> ready_;
  std::vector<double> times_ms_;
  Status status_;
  int left_;
  int open_;
};

}  // namespace

Result<int> run_store(const StoreOptions& options, bool as_json) {
  if (std::filesystem::exists(options.directory)) {
    return Error{ErrorCode::kInvalidArgument,
                 "--state: " + options.directory + " is there already; give a new one"};
  }
  std::vector<double> rates;
  std::vector<double> times_ms;
  StoreFigures figures;
  std::vector<double> syncs_ms;
  {
    LOCKSTEP_TRY_ASSIGN(const auto store, open_store(options.directory), "bench");
    LOCKSTEP_TRY_ASSIGN(syncs_ms, measure_syncs(options.directory + "/sync"), "bench");
    for (int i = 0; i < options.repetitions; ++i) {
      const std::int64_t start_ns = system_clock().monotonic_ns();
      LOCKSTEP_TRY_ASSIGN(const std::vector<double> round, Load(store->jobs(), options).run(),
                          "bench");
      rates.push_back(options.jobs / (ms_since(start_ns) * 1e-3));
      times_ms.insert(times_ms.end(), round.begin(), round.end());
    }
    figures = store->figures();
  }
  std::filesystem::remove_all(options.directory);
  const double per_group = static_cast<double>(figures.commits) /
                           static_cast<double>(std::max<std::uint64_t>(figures.groups, 1));
  if (as_json) {
    LOCKSTEP_TRY(print_json({{"producers", options.producers},
                             {"jobs_per_s", rates},
                             {"jobs_per_sync", per_group},
                             {"commit_ms_p50", percentile(times_ms, 0.5)},
                             {"commit_ms_p99", percentile(times_ms, 0.99)},
                             {"fdatasync_ms_p50", percentile(syncs_ms, 0.5)},
                             {"fdatasync_ms_p99", percentile(syncs_ms, 0.99)}}),
                 "result");
    return 0;
  }
  const auto text = [](double value) {
    char out[32];
    (void)std::snprintf(out, sizeof out, "%.3g", value);
    return std::string(out);
  };
  const auto rate = [](double value) { return grouped_digits(static_cast<std::uint64_t>(value)); };
  LOCKSTEP_TRY(
      print_text(format_table({{"", "median", "min", "max or p99"},
                               {"durable jobs/s", rate(percentile(rates, 0.5)),
                                rate(percentile(rates, 0)), rate(percentile(rates, 1))},
                               {"commit ms", text(percentile(times_ms, 0.5)),
                                text(percentile(times_ms, 0)), text(percentile(times_ms, 0.99))},
                               {"fdatasync ms", text(percentile(syncs_ms, 0.5)),
                                text(percentile(syncs_ms, 0)), text(percentile(syncs_ms, 0.99))},
                               {"jobs per sync", text(per_group), "", ""}},
                              "")),
      "result");
  return 0;
}

}  // namespace lockstep
