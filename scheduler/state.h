// A gateway's state directory, for the command line: no gateway needed. While one runs, it is asked
// for backups; the rest needs it stopped.
#pragma once

#include <cstdint>
#include <memory>
#include <string>

#include "base/result.h"
#include "scheduler/job_store.h"

namespace lockstep {

// Copies the database to the new file `path`, or has the gateway do it that runs on `directory`.
// Blocks until the copy is whole. kUnavailable: the gateway that holds the lock does not answer.
Status backup_state(const std::string& directory, const std::string& path);

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
