// The one thread that writes the database. Tasks of any thread run there in the order in which they
// were given; a group of them is one transaction and one sync of the disk. A task that fails undoes
// its own writes alone: as that is rare, the group is then done again with a savepoint around each
// (a savepoint copies every page that is touched). Between groups the thread does its chores, a
// bounded piece at a time.
//
// Disk full: the reserve is given up and the group tried again; from then on new work is refused
// until there is room for a reserve. Any other error of the disk, and a damaged file, end the
// process through `on_failure`: what was promised is in the journal.
#pragma once

#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <deque>
#include <functional>
#include <mutex>
#include <thread>
#include <vector>

#include "base/clock.h"
#include "base/database.h"
#include "scheduler/gateway/store/disk_reserve.h"

namespace lockstep {

struct StoreTask {
  // Runs in the transaction, perhaps more than once. An error undoes what it wrote.
  std::function<Status()> apply;
  // Gets apply's error or what became of the transaction, after it.
  std::function<void(Status)> done;
  std::uint32_t num_rows = 0;
  bool is_new_work = false;  // Refused while the disk is full, or when too many tasks wait.
};

// Something to be done when there is time. Runs between transactions.
struct StoreChore {
  // One bounded piece; true when there is more to do now.
  std::function<Result<bool>()> run;
  std::int64_t every_ms = 1000;
};

// Sums since the start.
struct StoreReport {
  std::uint64_t tasks = 0;
  std::uint64_t rows = 0;
  std::uint64_t groups = 0;    // Transactions that were synced.
  std::uint64_t group_us = 0;  // Time that they took.
  std::uint64_t waiting = 0;   // Tasks, now.
  std::uint64_t refused = 0;   // Because too many waited, or the disk was full.
  bool is_disk_full = false;
};

class StoreThread {
 public:
  // Tasks that wait: new work up to the first, everything else up to the second.
  static constexpr std::size_t kMaxNewWork = 16'384;
  static constexpr std::size_t kMaxTasks = 65'536;
  static constexpr std::uint32_t kGroupRows = 256;
  static constexpr std::int64_t kGroupNs = 2'000'000;

  struct Surroundings {
    const Clock* clock;
    std::function<void(const Error&)> on_failure;  // If it returns, everything is refused.
  };

  // Requires: `database` and `reserve` outlive it and belong to its thread from start() on.
  StoreThread(Database& database, DiskReserve& reserve, Surroundings surroundings);
  // Does what waits, then ends the thread.
  ~StoreThread();
  StoreThread(const StoreThread&) = delete;
  StoreThread& operator=(const StoreThread&) = delete;

  void add_chore(StoreChore chore);  // Requires: not started.
  Status start();

  // Any thread. A task that is refused is told so on the caller's.
  void submit(StoreTask task);
  StoreReport report() const;

 private:
  struct TimedChore {
    StoreChore chore;
    std::int64_t due_ns = 0;
  };
  // A task of the group and what became of it.
  struct Entry {
    StoreTask task;
    Status status;
  };

  Status refusal(bool is_new_work) const;
  void run();
  void run_group();
  bool take_task(Entry& out);
  Status apply_all(std::vector<Entry>& group);
  Status apply_one(Entry& entry);
  Status apply_guarded(Entry& entry);
  Status commit(std::vector<Entry>& group, bool collect);
  Status collect_and_apply(std::vector<Entry>& group);
  void roll_back();
  void handle_full(const Error& error);
  void fail(const Error& error);
  void finish(std::vector<Entry>& group);
  void run_chores();
  void make_reserve(std::int64_t now_ns);
  void checkpoint();
  bool wait_for_work();

  Database& database_;
  DiskReserve& reserve_;
  Surroundings surroundings_;
  std::vector<TimedChore> chores_;
  Statement begin_, commit_, save_, release_, undo_;
  std::int64_t reserve_due_ns_ = 0;
  bool is_guarded_ = false;  // Each task of the group has a savepoint.

  mutable std::mutex mutex_;
  std::condition_variable work_;
  std::deque<StoreTask> tasks_;
  bool is_stopping_ = false;

  std::atomic<bool> is_failed_ = false;
  std::atomic<bool> is_disk_full_ = false;
  std::atomic<std::uint64_t> num_tasks_ = 0, num_rows_ = 0, num_groups_ = 0, group_us_ = 0;
  std::atomic<std::uint64_t> num_refused_ = 0;
  std::thread thread_;
};

}  // namespace lockstep
