#include "scheduler/state.h"

#include <unistd.h>

#include <chrono>
#include <filesystem>
#include <thread>
#include <utility>

#include "scheduler/gateway/admin/admin_socket.h"
#include "scheduler/gateway/store/backup.h"
#include "scheduler/gateway/store/schema.h"
#include "scheduler/gateway/store/state_store.h"

namespace lockstep {
namespace {

constexpr std::size_t kMaxFaults = 8;  // That are printed of a damaged database.

// The database of a state directory that nobody else uses.
struct LockedState {
  StateDirectory directory;
  Database database;
};

Result<LockedState> lock_state(const std::string& path) {
  const std::string database_path = path + "/gateway.sqlite";
  if (::access(database_path.c_str(), F_OK) != 0) {
    return Error{ErrorCode::kNotFound, database_path + ": is not there; is --state right?"};
  }
  LOCKSTEP_TRY_ASSIGN(StateDirectory directory, StateDirectory::lock(path), "lock");
  LOCKSTEP_TRY_ASSIGN(Database database, Database::open(database_path, {.create = false}), "open");
  return LockedState{std::move(directory), std::move(database)};
}

class OpenStateStore final : public OpenStore {
 public:
  explicit OpenStateStore(std::unique_ptr<StateStore> store) : store_(std::move(store)) {}
  JobStore& jobs() override { return store_->jobs(); }
  StoreFigures figures() const override {
    const StoreReport report = store_->report();
    return {report.tasks, report.groups};
  }

 private:
  std::unique_ptr<StateStore> store_;
};

}  // namespace

Status backup_state(const std::string& directory, const std::string& path) {
  auto locked = lock_state(directory);
  if (!locked.ok() && locked.error().code == ErrorCode::kUnavailable) {
    std::error_code failed;
    const std::string absolute = std::filesystem::absolute(path, failed).string();
    Status asked = ask_gateway(directory, kAdminSocketName, {.backup_path = absolute});
    if (asked.ok() || asked.error().code != ErrorCode::kUnavailable) return asked;
    return std::move(asked).error().with_context(locked.error().message);
  }
  LOCKSTEP_TRY_ASSIGN(LockedState state, std::move(locked), "state");
  LOCKSTEP_TRY_ASSIGN(Backup backup, Backup::begin(state.database, path), "copy");
  for (;;) {
    LOCKSTEP_TRY_ASSIGN(const bool more, backup.step(), "copy");
    if (!more) return {};
  }
}

Status wait_for_state(const std::string& directory, int timeout_ms,
                      const std::function<bool()>& leave) {
  constexpr std::chrono::milliseconds kLook{100};
  const auto end = std::chrono::steady_clock::now() + std::chrono::milliseconds(timeout_ms);
  for (;;) {
    const Status tried = [&]() -> Status {
      LOCKSTEP_TRY_ASSIGN(const StateDirectory locked, StateDirectory::lock(directory), "state");
      return {};
    }();
    if (tried.ok() || tried.error().code != ErrorCode::kUnavailable) return tried;
    if (leave()) return Error{ErrorCode::kAborted, "interrupted while " + directory + " is in use"};
    if (std::chrono::steady_clock::now() >= end) return tried;
    std::this_thread::sleep_for(kLook);
  }
}

Result<StateSummary> check_state(const std::string& directory) {
  LOCKSTEP_TRY_ASSIGN(LockedState state, lock_state(directory), "state");
  LOCKSTEP_TRY_ASSIGN(
      Statement check,
      state.database.prepare("PRAGMA integrity_check(" + std::to_string(kMaxFaults) + ")"),
      "check");
  std::string faults;
  for (;;) {
    LOCKSTEP_TRY_ASSIGN(const bool found, check.step(), "check");
    if (!found) break;
    if (check.text(0) != "ok") faults += (faults.empty() ? "" : "; ") + check.text(0);
  }
  if (!faults.empty()) {
    return Error{ErrorCode::kCorrupt, state.database.path() + ": " + faults +
                                          "; put a file of `lockstep state backup` in its place"};
  }
  StateSummary summary;
  LOCKSTEP_TRY_ASSIGN(summary.schema_version, state.database.query_integer("PRAGMA user_version"),
                      "check");
  const std::pair<std::uint64_t*, const char*> counts[] = {
      {&summary.epoch, "SELECT value FROM meta WHERE name = 'epoch'"},
      {&summary.jobs, "SELECT count(*) FROM jobs"},
      {&summary.waiting, "SELECT count(*) FROM waiting"},
      {&summary.batches, "SELECT count(*) FROM batches"},
      {&summary.files, "SELECT count(*) FROM files"}};
  for (const auto& [count, sql] : counts) {
    LOCKSTEP_TRY_ASSIGN(const std::int64_t value, state.database.query_integer(sql), "check");
    *count = static_cast<std::uint64_t>(value);
  }
  return summary;
}

Result<std::vector<TenantUsage>> read_usage(const std::string& directory, std::int64_t since_ms) {
  const std::string copy = directory + "/usage-" + std::to_string(::getpid()) + ".sqlite";
  LOCKSTEP_TRY(backup_state(directory, copy), "usage");
  const auto read = [&]() -> Result<std::vector<TenantUsage>> {
    LOCKSTEP_TRY_ASSIGN(Database database, Database::open(copy, {.create = false}), "usage");
    LOCKSTEP_TRY(migrate(database), "usage");
    LOCKSTEP_TRY_ASSIGN(
        Statement rows,
        database.prepare("SELECT tenant, count(*), sum(state != 1), sum(prompt_tokens), "
                         "sum(cached_tokens), sum(completion_tokens), sum(computed_tokens), "
                         "sum(elapsed_ms) FROM usage WHERE ended_ms >= ? GROUP BY tenant "
                         "ORDER BY tenant"),
        "usage");
    rows.bind(since_ms);
    std::vector<TenantUsage> usage;
    for (;;) {
      LOCKSTEP_TRY_ASSIGN(const bool found, rows.step(), "usage");
      if (!found) return usage;
      const auto number = [&rows](int column) {
        return static_cast<std::uint64_t>(rows.integer(column));
      };
      usage.push_back({rows.text(0), number(1), number(2), number(3), number(4), number(5),
                       number(6), number(7)});
    }
  };
  auto usage = read();
  std::error_code ignored;
  for (const char* ending : {"", "-wal", "-shm"}) std::filesystem::remove(copy + ending, ignored);
  return usage;
}

Result<std::unique_ptr<OpenStore>> open_store(const std::string& directory) {
  StateOptions options;
  options.directory = directory;
  LOCKSTEP_TRY_ASSIGN(std::unique_ptr<StateStore> store, StateStore::open(std::move(options)),
                      "store");
  return std::unique_ptr<OpenStore>(std::make_unique<OpenStateStore>(std::move(store)));
}

}  // namespace lockstep
