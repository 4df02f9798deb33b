#include "scheduler/gateway/store/state_store.h"

#include <dirent.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <memory>
#include <utility>

#include "base/log.h"
#include "scheduler/gateway/store/schema.h"

namespace lockstep {
namespace {

void end_process(const Error& error) {
  log_event(LogLevel::kError, "store_failed", {{"error", error.message}});
  std::_Exit(exit_status(error.code));
}

}  // namespace

StateStore::StateStore(StateOptions options, StateDirectory directory, Database database)
    : options_(std::move(options)),
      directory_(std::move(directory)),
      database_(std::move(database)),
      reserve_(directory_.reserve_path(), options_.reserve_bytes) {}

Result<std::unique_ptr<StateStore>> StateStore::open(StateOptions options) {
  if (!options.on_failure) options.on_failure = end_process;
  LOCKSTEP_TRY_ASSIGN(StateDirectory directory, StateDirectory::lock(options.directory), "state");
  // Its owner's alone; SQLite gives its log the same mode.
  LOCKSTEP_TRY(File::open_write(directory.database_path(), 0600), "state");
  LOCKSTEP_TRY_ASSIGN(Database database,
                      Database::open(directory.database_path(), {.vfs = options.vfs}), "state");
  std::unique_ptr<StateStore> store(
      new StateStore(std::move(options), std::move(directory), std::move(database)));
  LOCKSTEP_TRY(store->prepare(), "state");
  return store;
}

StateStore::~StateStore() {
  thread_.reset();
  if (backup_) backup_->done(Error{ErrorCode::kAborted, "backup: the gateway ended"});
}

Status StateStore::prepare() {
  LOCKSTEP_TRY(migrate(database_), "open");
  LOCKSTEP_TRY_ASSIGN(epoch_, begin_epoch(database_), "open");
  LOCKSTEP_TRY_ASSIGN(JobTables jobs, JobTables::prepare(database_, options_.retention), "open");
  LOCKSTEP_TRY_ASSIGN(BatchTables batches, BatchTables::prepare(database_, options_.retention),
                      "open");
  LOCKSTEP_TRY_ASSIGN(ReplicaTable replicas, ReplicaTable::prepare(database_), "open");
  tables_ = std::make_unique<StoreTables>(
      StoreTables{std::move(jobs), std::move(batches), std::move(replicas)});
  LOCKSTEP_TRY_ASSIGN(Retention retention,
                      Retention::prepare(database_, tables_->jobs, options_.retention), "open");
  retention_ = std::make_unique<Retention>(std::move(retention));
  LOCKSTEP_TRY(remove_orphans(), "open");
  const Status reserved = reserve_.make();
  if (!reserved.ok()) {
    log_event(LogLevel::kError, "disk_full", {{"error", reserved.error().message}});
  }
  thread_ = std::make_unique<StoreThread>(
      database_, reserve_, StoreThread::Surroundings{options_.clock, options_.on_failure});
  jobs_ = std::make_unique<SqliteJobStore>(*thread_, *tables_);
  batches_ = std::make_unique<SqliteBatchStore>(*thread_, *tables_);
  replicas_ = std::make_unique<SqliteReplicaStore>(*thread_, *tables_);
  thread_->add_chore({.run = [this] { return remove_old(); }, .every_ms = 1000});
  thread_->add_chore({.run = [this] { return step_backup(); }, .every_ms = 100});
  return thread_->start();
}

// Bytes of files without a row: an upload or an output that a crash cut short.
Status StateStore::remove_orphans() {
  const std::string path = directory_.path() + "/files";
  DIR* folder = ::opendir(path.c_str());
  if (folder == nullptr) return system_error(errno, path, "open");
  Status status;
  while (const dirent* entry = ::readdir(folder)) {
    const std::string name = entry->d_name;
    const Result<RequestId> id = RequestId::parse(name.substr(0, 32));
    if (!id.ok()) continue;
    if (name.size() == 32) {
      const Result<FileRecord> row = tables_->batches.load_file("", id.value());
      if (row.ok()) continue;
      if (row.error().code != ErrorCode::kNotFound) {
        status = row.error();
        break;
      }
    }
    ::unlink(std::string(path).append("/").append(name).c_str());
  }
  ::closedir(folder);
  return status;
}

Result<bool> StateStore::remove_old() {
  Result<bool> more = retention_->remove_some(options_.clock->unix_ms());
  for (const RequestId& file : retention_->removed_files()) {
    ::unlink(directory_.file_path(file).c_str());
  }
  return more;
}

void StateStore::backup_to(std::string path, std::function<void(Status)> done) {
  // Begun by a task, because the running one belongs to the thread. What is wrong with the copy is
  // no error of the task: the database is well.
  const auto begun = std::make_shared<Status>();
  thread_->submit({.apply = [this, path = std::move(path), begun, done]() -> Status {
                     *begun = begin_backup(path, done);
                     return {};
                   },
                   .done =
                       [begun, done = std::move(done)](Status status) {
                         if (status.ok()) status = *begun;
                         if (!status.ok()) done(std::move(status));
                       }});
}

Status StateStore::begin_backup(const std::string& path, const std::function<void(Status)>& done) {
  if (backup_) return Error{ErrorCode::kUnavailable, "backup: another one is running"};
  LOCKSTEP_TRY_ASSIGN(Backup copy, Backup::begin(database_, path), "backup");
  backup_ = std::make_unique<RunningBackup>(RunningBackup{std::move(copy), done});
  return {};
}

Result<bool> StateStore::step_backup() {
  if (!backup_) return false;
  Result<bool> more = backup_->copy.step();
  if (more.ok() && more.value()) return true;
  // What goes wrong with the copy is told to who asked, and no more.
  const std::unique_ptr<RunningBackup> ended = std::move(backup_);
  ended->done(more.ok() ? Status() : Status(more.error()));
  return false;
}

}  // namespace lockstep
