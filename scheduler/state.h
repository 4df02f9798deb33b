// A gateway's state directory, for the command line: no gateway needed. While one runs, it is asked
// for backups; the rest needs it stopped.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "base/result.h"
#include "scheduler/job_store.h"

namespace lockstep {

// Copies the database to the new file `path`, or has the gateway do it that runs on `directory`.
// Blocks until the copy is whole. kUnavailable: the gateway that holds the lock does not answer.
Status backup_state(const std::string& directory, const std::string& path);

// Waits until no gateway has `directory`: one that still closes, or whose lock outlives its node
// for a while. kUnavailable names who has it when the time is over; kAborted when `leave` is set.
Status wait_for_state(const std::string& directory, int timeout_ms,
                      const std::function<bool()>& leave);

// Reads every page and checks every row against its table and indices. kCorrupt lists what is
// wrong.
struct StateSummary {
  std::int64_t schema_version = 0;
  std::uint64_t epoch = 0;
  std::uint64_t jobs = 0;
  std::uint64_t waiting = 0;
  std::uint64_t batches = 0;
  std::uint64_t files = 0;
};
Result<StateSummary> check_state(const std::string& directory);

// What tenants have used, by tenant.
struct TenantUsage {
  std::string tenant;
  std::uint64_t requests = 0;
  std::uint64_t failed = 0;  // Of these, not answered to their end.
  std::uint64_t prompt_tokens = 0;
  std::uint64_t cached_tokens = 0;  // Of the prompts, not computed again.
  std::uint64_t completion_tokens = 0;
  std::uint64_t computed_tokens = 0;  // What the devices had to do for them.
  std::uint64_t elapsed_ms = 0;       // From acceptance to end, all requests together.
};
// Of what ended at `since_ms` (Unix time) or later. While a gateway runs, it is asked for a copy,
// which lies below `directory` for a moment.
Result<std::vector<TenantUsage>> read_usage(const std::string& directory, std::int64_t since_ms);

// What a measurement of durable commits needs of a store.
struct StoreFigures {
  std::uint64_t commits = 0;
  std::uint64_t groups = 0;  // Transactions, each with a sync.
};
class OpenStore {
 public:
  virtual ~OpenStore() = default;
  virtual JobStore& jobs() = 0;
  virtual StoreFigures figures() const = 0;
};
// Blocks; made if it is missing. Its destructor finishes what was given.
Result<std::unique_ptr<OpenStore>> open_store(const std::string& directory);

}  // namespace lockstep
