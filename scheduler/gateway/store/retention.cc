#include "scheduler/gateway/store/retention.h"

#include <algorithm>
#include <utility>

#include "base/crash_point.h"

namespace lockstep {
namespace {

// The smallest id that could have been made then.
RequestId first_id_at(std::int64_t unix_ms) {
  RequestId id;
  const std::int64_t ms = std::max<std::int64_t>(unix_ms, 0);
  for (std::size_t i = 0; i < 6; ++i) id.bytes[i] = static_cast<std::uint8_t>(ms >> (40 - 8 * i));
  return id;
}

}  // namespace

Result<Retention> Retention::prepare(Database& database, JobTables& jobs,
                                     const RetentionTimes& times) {
  Retention r(database, jobs, times);
  const std::pair<Statement*, const char*> statements[] = {
      {&r.begin_, "BEGIN IMMEDIATE"},
      {&r.commit_, "COMMIT"},
      {&r.ended_jobs_, "SELECT job FROM outcomes WHERE remove_ms <= ? ORDER BY remove_ms LIMIT ?"},
      {&r.ended_batch_,
       "SELECT id FROM batches WHERE remove_lines_ms <= ? ORDER BY remove_lines_ms LIMIT 1"},
      {&r.lines_,
       "SELECT job FROM jobs WHERE batch=? AND job IN (SELECT job FROM outcomes) LIMIT ?"},
      {&r.lines_done_, "UPDATE batches SET remove_lines_ms = NULL WHERE id=?"},
      {&r.old_batches_,
       "DELETE FROM batches WHERE id IN (SELECT id FROM batches WHERE remove_ms <= ? AND "
       "remove_lines_ms IS NULL LIMIT ?)"},
      {&r.old_keys_,
       "DELETE FROM idempotency WHERE (tenant, route, key) IN (SELECT tenant, route, key FROM "
       "idempotency WHERE created_ms <= ? ORDER BY created_ms LIMIT ?)"},
      {&r.old_tombstones_,
       "DELETE FROM tombstones WHERE id IN (SELECT id FROM tombstones WHERE id < ? ORDER BY id "
       "LIMIT ?)"},
      {&r.old_files_,
       "DELETE FROM files WHERE id IN (SELECT id FROM files WHERE expires_ms > 0 AND expires_ms "
       "<= ? AND id NOT IN (SELECT input_file FROM batches WHERE remove_ms IS NULL) LIMIT ?) "
       "RETURNING id"},
  };
  for (const auto& [statement, sql] : statements) {
    LOCKSTEP_TRY_ASSIGN(*statement, database.prepare(sql), "retention");
  }
  return r;
}

Result<bool> Retention::remove_some(std::int64_t now_ms) {
  removed_files_.clear();
  LOCKSTEP_TRY(begin_.bind().run(), "retention");
  Result<bool> more = remove_rows(now_ms);
  Status status;
  if (more.ok()) {
    status = commit_.bind().run();
  } else {
    status = more.error();
  }
  if (status.ok()) return more;
  removed_files_.clear();
  if (database_->in_transaction()) (void)database_->execute("ROLLBACK");
  return std::move(status).error().with_context("retention");
}

Result<bool> Retention::remove_rows(std::int64_t now_ms) {
  ended_jobs_.bind(now_ms, kRowsAtOnce);
  LOCKSTEP_TRY_ASSIGN(bool more, remove_jobs(ended_jobs_), "jobs");
  LOCKSTEP_TRY_ASSIGN(const bool more_lines, remove_lines(now_ms), "lines");
  more |= more_lines;
  const RequestId oldest = first_id_at(now_ms - times_.tombstone_ms);
  old_batches_.bind(now_ms, kRowsAtOnce);
  old_keys_.bind(now_ms - times_.idempotency_ms, kRowsAtOnce);
  old_tombstones_.bind(oldest, kRowsAtOnce);
  for (Statement* statement : {&old_batches_, &old_keys_, &old_tombstones_}) {
    LOCKSTEP_TRY(statement->run(), "old rows");
    more |= database_->changes() == kRowsAtOnce;
  }
  LOCKSTEP_TRY(remove_files(now_ms), "files");
  return more || removed_files_.size() == kRowsAtOnce;
}

// The jobs that `select` names.
Result<bool> Retention::remove_jobs(Statement& select) {
  std::vector<std::int64_t> jobs;
  for (;;) {
    LOCKSTEP_TRY_ASSIGN(const bool found, select.step(), "select");
    if (!found) break;
    jobs.push_back(select.integer(0));
  }
  for (const std::int64_t job : jobs) LOCKSTEP_TRY(jobs_->remove(job), "job");
  if (!jobs.empty()) CRASH_POINT("store.retention");
  return jobs.size() == kRowsAtOnce;
}

Result<bool> Retention::remove_lines(std::int64_t now_ms) {
  ended_batch_.bind(now_ms);
  LOCKSTEP_TRY_ASSIGN(const bool found, ended_batch_.step(), "select");
  if (!found) return false;
  const RequestId batch = ended_batch_.id(0);
  ended_batch_.reset();
  lines_.bind(batch, kRowsAtOnce);
  LOCKSTEP_TRY_ASSIGN(const bool more, remove_jobs(lines_), "lines");
  if (!more) LOCKSTEP_TRY(lines_done_.bind(batch).run(), "lines");
  return true;  // Of this batch or another one.
}

Status Retention::remove_files(std::int64_t now_ms) {
  old_files_.bind(now_ms, kRowsAtOnce);
  for (;;) {
    LOCKSTEP_TRY_ASSIGN(const bool found, old_files_.step(), "files");
    if (!found) return {};
    removed_files_.push_back(old_files_.id(0));
  }
}

}  // namespace lockstep
