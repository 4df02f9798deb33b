#include "scheduler/gateway/store/store_thread.h"

#include <algorithm>
#include <chrono>
#include <utility>

#include "base/crash_point.h"
#include "base/log.h"

namespace lockstep {
namespace {

constexpr std::int64_t kNsPerMs = 1'000'000;
constexpr std::int64_t kReserveNs = 250'000'000;  // Between two looks for room.
constexpr std::int64_t kLogPages = 4096;          // 16 MiB of journal.

// What ends one task alone; anything else concerns the database. A damaged row that is only read is
// a matter of who asked for it.
bool is_of_the_task(ErrorCode code, bool is_write) {
  if (code == ErrorCode::kCorrupt) return !is_write;
  return code == ErrorCode::kAborted || code == ErrorCode::kInvalidArgument ||
         code == ErrorCode::kNotFound || code == ErrorCode::kInternal;
}

}  // namespace

StoreThread::StoreThread(Database& database, DiskReserve& reserve, Surroundings surroundings)
    : database_(database), reserve_(reserve), surroundings_(std::move(surroundings)) {}

StoreThread::~StoreThread() {
  {
    const std::scoped_lock lock(mutex_);
    is_stopping_ = true;
  }
  work_.notify_one();
  if (thread_.joinable()) thread_.join();
}

void StoreThread::add_chore(StoreChore chore) { chores_.push_back({std::move(chore), 0}); }

Status StoreThread::start() {
  LOCKSTEP_TRY_ASSIGN(begin_, database_.prepare("BEGIN IMMEDIATE"), "store");
  LOCKSTEP_TRY_ASSIGN(commit_, database_.prepare("COMMIT"), "store");
  LOCKSTEP_TRY_ASSIGN(save_, database_.prepare("SAVEPOINT task"), "store");
  LOCKSTEP_TRY_ASSIGN(release_, database_.prepare("RELEASE task"), "store");
  LOCKSTEP_TRY_ASSIGN(undo_, database_.prepare("ROLLBACK TO task"), "store");
  is_disk_full_ = !reserve_.is_held();
  thread_ = std::thread([this] { run(); });
  return {};
}

Status StoreThread::refusal(bool is_new_work) const {
  if (is_failed_) return Error{ErrorCode::kIo, database_.path() + ": failed before"};
  if (is_new_work && is_disk_full_) {
    return Error{ErrorCode::kExhausted,
                 database_.path() +
                     ": its disk is full; nothing new is accepted until there is "
                     "room again"};
  }
  return {};
}

void StoreThread::submit(StoreTask task) {
  Status refused = refusal(task.is_new_work);
  if (refused.ok()) {
    const std::scoped_lock lock(mutex_);
    if (tasks_.size() < (task.is_new_work ? kMaxNewWork : kMaxTasks)) {
      tasks_.push_back(std::move(task));
      work_.notify_one();
      return;
    }
    refused = Error{ErrorCode::kExhausted, database_.path() + ": " + std::to_string(tasks_.size()) +
                                               " commits wait; try again later"};
  }
  ++num_refused_;
  task.done(std::move(refused));
}

StoreReport StoreThread::report() const {
  StoreReport report{.tasks = num_tasks_,
                     .rows = num_rows_,
                     .groups = num_groups_,
                     .group_us = group_us_,
                     .refused = num_refused_,
                     .is_disk_full = is_disk_full_};
  const std::scoped_lock lock(mutex_);
  report.waiting = tasks_.size();
  return report;
}

void StoreThread::run() {
  while (wait_for_work()) {
    run_group();
    if (!is_failed_) checkpoint();
    if (!is_failed_) run_chores();
  }
}

// Until there is a task or a chore is due. False when it is time to end.
bool StoreThread::wait_for_work() {
  std::int64_t due_ns = INT64_MAX;
  for (const TimedChore& chore : chores_) due_ns = std::min(due_ns, chore.due_ns);
  std::unique_lock lock(mutex_);
  if (tasks_.empty() && !is_stopping_) {
    const std::int64_t left_ns =
        std::clamp<std::int64_t>(due_ns - surroundings_.clock->monotonic_ns(), 0, 1'000'000'000);
    work_.wait_for(lock, std::chrono::nanoseconds(left_ns),
                   [this] { return is_stopping_ || !tasks_.empty(); });
  }
  return !(is_stopping_ && tasks_.empty());
}

bool StoreThread::take_task(Entry& out) {
  const std::scoped_lock lock(mutex_);
  if (tasks_.empty()) return false;
  out.task = std::move(tasks_.front());
  tasks_.pop_front();
  return true;
}

void StoreThread::run_group() {
  const std::int64_t start_ns = surroundings_.clock->monotonic_ns();
  std::vector<Entry> group;
  is_guarded_ = false;
  Status status = is_failed_ ? refusal(false) : commit(group, /*collect=*/true);
  if (!status.ok() && status.error().code == ErrorCode::kAborted) {
    is_guarded_ = true;
    status = commit(group, /*collect=*/false);
  }
  if (!status.ok() && status.error().code == ErrorCode::kExhausted) {
    handle_full(status.error());
    is_guarded_ = true;
    status = commit(group, /*collect=*/false);
  }
  if (!status.ok() && status.error().code != ErrorCode::kExhausted) fail(status.error());
  if (is_failed_) {  // What came in the meantime ends as well.
    for (Entry entry; take_task(entry);) group.push_back(std::move(entry));
  }
  if (group.empty()) return;
  if (status.ok()) {
    CRASH_POINT("store.after_commit");
    group_us_ += static_cast<std::uint64_t>(surroundings_.clock->monotonic_ns() - start_ns) / 1000;
    ++num_groups_;
  } else {
    for (Entry& entry : group) entry.status = status;
  }
  finish(group);
}

// One transaction over the group, which it first collects from the queue when asked to.
Status StoreThread::commit(std::vector<Entry>& group, bool collect) {
  if (collect) {
    const std::scoped_lock lock(mutex_);
    if (tasks_.empty()) return {};
  }
  Status status = begin_.bind().run();
  if (status.ok()) status = collect ? collect_and_apply(group) : apply_all(group);
  if (status.ok()) {
    CRASH_POINT("store.before_commit");
    status = commit_.bind().run();
  }
  if (!status.ok()) roll_back();
  return status;
}

// Takes what waits until there are enough rows, enough time has passed or nothing waits.
Status StoreThread::collect_and_apply(std::vector<Entry>& group) {
  const std::int64_t end_ns = surroundings_.clock->monotonic_ns() + kGroupNs;
  std::uint32_t rows = 0;
  Status status;
  while (status.ok() && rows < kGroupRows && surroundings_.clock->monotonic_ns() < end_ns) {
    Entry entry;
    if (!take_task(entry)) break;
    rows += std::max(entry.task.num_rows, 1U);
    group.push_back(std::move(entry));
    status = apply_one(group.back());
  }
  return status;
}

Status StoreThread::apply_all(std::vector<Entry>& group) {
  for (Entry& entry : group) LOCKSTEP_TRY(apply_one(entry), "group");
  return {};
}

// An error is one of the database, or kAborted: a task failed, and its writes cannot be undone
// alone. The task's own is in its entry.
Status StoreThread::apply_one(Entry& entry) {
  entry.status = refusal(entry.task.is_new_work);
  if (!entry.status.ok()) return {};
  const bool is_write = entry.task.num_rows > 0;
  if (is_write && is_guarded_) return apply_guarded(entry);
  entry.status = entry.task.apply();
  if (entry.status.ok()) return {};
  if (!is_of_the_task(entry.status.error().code, is_write)) return entry.status;
  if (!is_write) return {};
  return Error{ErrorCode::kAborted, "a task of the group failed"};
}

Status StoreThread::apply_guarded(Entry& entry) {
  LOCKSTEP_TRY(save_.bind().run(), "task");
  entry.status = entry.task.apply();
  if (entry.status.ok()) return release_.bind().run();
  if (!is_of_the_task(entry.status.error().code, /*is_write=*/true)) return entry.status;
  LOCKSTEP_TRY(undo_.bind().run(), "task");
  return release_.bind().run();
}

void StoreThread::roll_back() {
  // Many errors have rolled back already.
  if (database_.in_transaction()) (void)database_.execute("ROLLBACK");
}

void StoreThread::handle_full(const Error& error) {
  if (!is_disk_full_) {
    log_event(LogLevel::kError, "disk_full", {{"error", error.message}});
  }
  is_disk_full_ = true;
  reserve_.give_up();
  reserve_due_ns_ = surroundings_.clock->monotonic_ns() + kReserveNs;
  CRASH_POINT("store.reserve_given_up");
}

void StoreThread::fail(const Error& error) {
  if (is_failed_) return;
  is_failed_ = true;
  surroundings_.on_failure(error);
}

void StoreThread::finish(std::vector<Entry>& group) {
  for (Entry& entry : group) {
    ++num_tasks_;
    num_rows_ += entry.task.num_rows;
    entry.task.done(std::move(entry.status));
    CRASH_POINT("store.between_callbacks");
  }
}

void StoreThread::run_chores() {
  const std::int64_t now_ns = surroundings_.clock->monotonic_ns();
  for (TimedChore& chore : chores_) {
    if (chore.due_ns > now_ns) continue;
    const Result<bool> more = chore.chore.run();
    const bool again = more.ok() && more.value();
    chore.due_ns = again ? now_ns : now_ns + chore.chore.every_ms * kNsPerMs;
    if (more.ok()) continue;
    roll_back();
    if (more.error().code == ErrorCode::kExhausted) {
      handle_full(more.error());
    } else {
      fail(more.error());
      return;
    }
  }
  if (is_disk_full_ && now_ns >= reserve_due_ns_) make_reserve(now_ns);
}

void StoreThread::make_reserve(std::int64_t now_ns) {
  reserve_due_ns_ = now_ns + kReserveNs;
  if (!reserve_.make().ok()) return;
  log_event(LogLevel::kInfo, "disk_has_room");
  CRASH_POINT("store.reserve_made");
  is_disk_full_ = false;
}

// Keeps the journal short. What fails here fails again where it matters: in a group.
void StoreThread::checkpoint() {
  if (database_.log_pages() < kLogPages) return;
  CRASH_POINT("store.checkpoint");
  const Status status = database_.checkpoint();
  CRASH_POINT("store.after_checkpoint");
  if (status.ok()) return;
  if (status.error().code == ErrorCode::kExhausted) {
    handle_full(status.error());
  } else {
    fail(status.error());
  }
}

}  // namespace lockstep
