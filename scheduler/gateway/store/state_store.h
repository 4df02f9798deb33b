// The gateway's durable state, opened: directory, lock, database, thread, and the stores over them.
//
// The default of `on_failure` logs the error and ends the process with its exit status (74 for a
// disk that fails, 65 for a damaged file): what was promised is in the journal, and nothing more
// can be.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>

#include "base/clock.h"
#include "scheduler/gateway/store/backup.h"
#include "scheduler/gateway/store/retention.h"
#include "scheduler/gateway/store/sqlite_stores.h"
#include "scheduler/gateway/store/state_directory.h"
#include "scheduler/gateway/store/store_thread.h"

namespace lockstep {

struct StateOptions {
  std::string directory;
  RetentionTimes retention;
  std::uint64_t reserve_bytes = std::uint64_t{64} << 20;
  const Clock* clock = &system_clock();
  std::function<void(const Error&)> on_failure;  // Empty: the default.
  const char* vfs = nullptr;                     // SQLite's name of a file system; null: the usual.
};

class StateStore {
 public:
  // Blocks: makes what is missing, migrates, raises the epoch. kUnavailable names the process that
  // has the directory; kCorrupt the file that is damaged.
  static Result<std::unique_ptr<StateStore>> open(StateOptions options);
  // Does what waits, calls all callbacks, closes.
  ~StateStore();

  JobStore& jobs() { return *jobs_; }
  BatchStore& batches() { return *batches_; }
  ReplicaStore& replicas() { return *replicas_; }
  // Of this gateway: greater than that of any before.
  std::uint64_t epoch() const { return epoch_; }
  const StateDirectory& directory() const { return directory_; }
  StoreReport report() const { return thread_->report(); }

  // Writes a copy of the database to `path`, which must not be there; begins at once. The
  // callback runs on the store's thread. kUnavailable while another backup runs.
  void backup_to(std::string path, std::function<void(Status)> done);

 private:
  struct RunningBackup {
    Backup copy;
    std::function<void(Status)> done;
  };

  StateStore(StateOptions options, StateDirectory directory, Database database);
  Status prepare();
  Status remove_orphans();
  Result<bool> remove_old();
  Status begin_backup(const std::string& path, const std::function<void(Status)>& done);
  Result<bool> step_backup();

  StateOptions options_;
  StateDirectory directory_;
  Database database_;
  DiskReserve reserve_;
  std::uint64_t epoch_ = 0;
  std::unique_ptr<StoreTables> tables_;
  std::unique_ptr<Retention> retention_;
  std::unique_ptr<RunningBackup> backup_;  // Of the store's thread.
  std::unique_ptr<SqliteJobStore> jobs_;
  std::unique_ptr<SqliteBatchStore> batches_;
  std::unique_ptr<SqliteReplicaStore> replicas_;
  std::unique_ptr<StoreThread> thread_;  // Last: ends first.
};

}  // namespace lockstep
