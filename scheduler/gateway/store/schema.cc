#include "scheduler/gateway/store/schema.h"

#include <array>
#include <string>

#include "base/crash_point.h"

namespace lockstep {
namespace {

// "Lkst": says whose database it is.
constexpr std::int64_t kApplicationId = 0x4C6B7374;

// Rows of `jobs` never change: what happens to a job are rows of other tables, so that a write
// touches little. `waiting` is small for the sake of the restart.
constexpr const char* kVersion1 = R"sql(
CREATE TABLE meta(
  name TEXT PRIMARY KEY,
  value ANY NOT NULL
) STRICT, WITHOUT ROWID;
INSERT INTO meta VALUES('epoch', 0);

CREATE TABLE jobs(
  job INTEGER PRIMARY KEY,
  id BLOB NOT NULL UNIQUE,
  kind INTEGER NOT NULL,
  tenant TEXT NOT NULL,
  priority INTEGER NOT NULL,
  route TEXT NOT NULL,
  request_json TEXT NOT NULL,
  prompt BLOB NOT NULL,
  sampling BLOB NOT NULL,
  num_choices INTEGER NOT NULL,
  num_top_logprobs INTEGER NOT NULL,
  model_id BLOB NOT NULL,
  numerics_version INTEGER NOT NULL,
  created_ms INTEGER NOT NULL,
  expires_ms INTEGER NOT NULL,
  keep_without_client INTEGER NOT NULL,
  idempotency_key TEXT NOT NULL,
  body_digest BLOB NOT NULL,
  batch BLOB,
  custom_id TEXT NOT NULL
) STRICT;
CREATE INDEX jobs_of_tenant ON jobs(tenant, id) WHERE kind = 1;
CREATE INDEX lines_of_batch ON jobs(batch, id) WHERE batch IS NOT NULL;

CREATE TABLE waiting(
  job INTEGER PRIMARY KEY,
  id BLOB NOT NULL,
  tenant TEXT NOT NULL,
  priority INTEGER NOT NULL,
  kind INTEGER NOT NULL,
  num_choices INTEGER NOT NULL,
  expires_ms INTEGER NOT NULL,
  keep_without_client INTEGER NOT NULL
) STRICT;

CREATE TABLE outcomes(
  job INTEGER PRIMARY KEY,
  state INTEGER NOT NULL,
  ended_ms INTEGER NOT NULL,
  error TEXT NOT NULL,
  remove_ms INTEGER
) STRICT;
CREATE INDEX outcomes_by_removal ON outcomes(remove_ms) WHERE remove_ms IS NOT NULL;

CREATE TABLE choices(
  job INTEGER NOT NULL,
  choice INTEGER NOT NULL,
  error_code TEXT,
  error TEXT NOT NULL,
  reason INTEGER NOT NULL,
  num_tokens INTEGER NOT NULL,
  cached_tokens INTEGER NOT NULL,
  computed_tokens INTEGER NOT NULL,
  steps INTEGER NOT NULL,
  PRIMARY KEY(job, choice)
) STRICT, WITHOUT ROWID;

CREATE TABLE tokens(
  piece INTEGER PRIMARY KEY,
  job INTEGER NOT NULL,
  choice INTEGER NOT NULL,
  first INTEGER NOT NULL,
  count INTEGER NOT NULL,
  rows BLOB NOT NULL
) STRICT;
CREATE UNIQUE INDEX tokens_of_choice ON tokens(job, choice, first, count);

CREATE TABLE idempotency(
  tenant TEXT NOT NULL,
  route TEXT NOT NULL,
  key TEXT NOT NULL,
  id BLOB NOT NULL,
  body_digest BLOB NOT NULL,
  created_ms INTEGER NOT NULL,
  PRIMARY KEY(tenant, route, key)
) STRICT, WITHOUT ROWID;
CREATE INDEX idempotency_by_age ON idempotency(created_ms);

CREATE TABLE tombstones(
  id BLOB PRIMARY KEY,
  tenant TEXT NOT NULL
) STRICT, WITHOUT ROWID;
)sql";

constexpr const char* kVersion2 = R"sql(
CREATE TABLE files(
  id BLOB PRIMARY KEY,
  tenant TEXT NOT NULL,
  purpose TEXT NOT NULL,
  filename TEXT NOT NULL,
  bytes INTEGER NOT NULL,
  created_ms INTEGER NOT NULL,
  expires_ms INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX files_of_tenant ON files(tenant, id);
CREATE INDEX files_by_expiry ON files(expires_ms) WHERE expires_ms > 0;

CREATE TABLE batches(
  id BLOB PRIMARY KEY,
  tenant TEXT NOT NULL,
  endpoint TEXT NOT NULL,
  input_file BLOB NOT NULL,
  completion_window TEXT NOT NULL,
  metadata TEXT NOT NULL,
  state INTEGER NOT NULL,
  errors TEXT NOT NULL,
  output_file BLOB NOT NULL,
  error_file BLOB NOT NULL,
  total INTEGER NOT NULL,
  completed INTEGER NOT NULL,
  failed INTEGER NOT NULL,
  fed_lines INTEGER NOT NULL,
  fed_bytes INTEGER NOT NULL,
  is_cancelled INTEGER NOT NULL,
  is_expired INTEGER NOT NULL,
  created_ms INTEGER NOT NULL,
  expires_ms INTEGER NOT NULL,
  in_progress_ms INTEGER NOT NULL,
  finalizing_ms INTEGER NOT NULL,
  completed_ms INTEGER NOT NULL,
  failed_ms INTEGER NOT NULL,
  expired_ms INTEGER NOT NULL,
  cancelling_ms INTEGER NOT NULL,
  cancelled_ms INTEGER NOT NULL,
  remove_lines_ms INTEGER,
  remove_ms INTEGER
) STRICT, WITHOUT ROWID;
CREATE INDEX batches_of_tenant ON batches(tenant, id);
CREATE INDEX open_batches ON batches(id) WHERE remove_ms IS NULL;
CREATE INDEX batches_by_lines ON batches(remove_lines_ms) WHERE remove_lines_ms IS NOT NULL;
CREATE INDEX batches_by_removal ON batches(remove_ms) WHERE remove_ms IS NOT NULL;

CREATE TABLE replicas(
  replica INTEGER PRIMARY KEY,
  name TEXT NOT NULL,
  public_key TEXT NOT NULL,
  epoch INTEGER NOT NULL,
  processes TEXT NOT NULL
) STRICT;
)sql";

// The model that a batch was accepted for.
constexpr const char* kVersion3 = R"sql(
ALTER TABLE batches ADD COLUMN model_id BLOB NOT NULL DEFAULT x'';
ALTER TABLE batches ADD COLUMN numerics_version INTEGER NOT NULL DEFAULT 0;
)sql";

// What was used, kept long after the jobs themselves are gone: 400 days. A trigger, so that the row
// is part of the transaction that ends the job. Each new row takes up to two old ones along.
constexpr const char* kVersion4 = R"sql(
CREATE TABLE usage(
  job INTEGER PRIMARY KEY,
  ended_ms INTEGER NOT NULL,
  tenant TEXT NOT NULL,
  kind INTEGER NOT NULL,
  state INTEGER NOT NULL,
  prompt_tokens INTEGER NOT NULL,
  cached_tokens INTEGER NOT NULL,
  completion_tokens INTEGER NOT NULL,
  computed_tokens INTEGER NOT NULL,
  elapsed_ms INTEGER NOT NULL
) STRICT;
CREATE INDEX usage_by_end ON usage(ended_ms);
CREATE TRIGGER count_usage AFTER INSERT ON outcomes BEGIN
  INSERT OR IGNORE INTO usage
    SELECT new.job, new.ended_ms, tenant, kind, new.state, length(prompt) / 4,
      (SELECT coalesce(sum(cached_tokens), 0) FROM choices WHERE job = new.job),
      (SELECT coalesce(sum(count), 0) FROM tokens WHERE job = new.job),
      (SELECT coalesce(sum(computed_tokens), 0) FROM choices WHERE job = new.job),
      max(0, new.ended_ms - created_ms)
    FROM jobs WHERE job = new.job;
  DELETE FROM usage WHERE job IN (
    SELECT job FROM usage WHERE ended_ms < new.ended_ms - 34560000000 ORDER BY ended_ms LIMIT 2);
END;
)sql";

constexpr std::array<const char*, kSchemaVersion> kSteps = {kVersion1, kVersion2, kVersion3,
                                                            kVersion4};

Status apply_step(Database& database, std::int64_t version) {
  const std::string pragmas = "PRAGMA application_id=" + std::to_string(kApplicationId) +
                              "; PRAGMA user_version=" + std::to_string(version + 1);
  LOCKSTEP_TRY(database.execute("BEGIN IMMEDIATE"), "migrate");
  Status status = database.execute(kSteps[static_cast<std::size_t>(version)]);
  if (status.ok()) status = database.execute(pragmas);
  CRASH_POINT("store.migration");
  if (status.ok()) status = database.execute("COMMIT");
  if (!status.ok() && database.in_transaction()) (void)database.execute("ROLLBACK");
  return status;
}

}  // namespace

Status migrate(Database& database) {
  LOCKSTEP_TRY_ASSIGN(const std::int64_t owner, database.query_integer("PRAGMA application_id"),
                      "migrate");
  LOCKSTEP_TRY_ASSIGN(const std::int64_t tables,
                      database.query_integer("SELECT count(*) FROM sqlite_schema"), "migrate");
  if (owner != kApplicationId && tables > 0) {
    return Error{ErrorCode::kCorrupt,
                 database.path() + ": is a database of another program; give another --state"};
  }
  LOCKSTEP_TRY_ASSIGN(const std::int64_t found, database.query_integer("PRAGMA user_version"),
                      "migrate");
  if (found > kSchemaVersion || found < 0) {
    return Error{ErrorCode::kInvalidArgument,
                 database.path() + ": has schema version " + std::to_string(found) +
                     ", this lockstep knows up to " + std::to_string(kSchemaVersion) +
                     "; use the lockstep that wrote it, or a backup from before"};
  }
  for (std::int64_t version = found; version < kSchemaVersion; ++version) {
    LOCKSTEP_TRY(apply_step(database, version),
                 database.path() + ": schema version " + std::to_string(version + 1));
  }
  return {};
}

Result<std::uint64_t> begin_epoch(Database& database) {
  LOCKSTEP_TRY(database.execute("BEGIN IMMEDIATE"), "begin an epoch");
  Status status = database.execute("UPDATE meta SET value = value + 1 WHERE name = 'epoch'");
  CRASH_POINT("store.begin_epoch");
  if (status.ok()) status = database.execute("COMMIT");
  if (!status.ok()) {
    if (database.in_transaction()) (void)database.execute("ROLLBACK");
    return std::move(status).error().with_context("begin an epoch");
  }
  CRASH_POINT("store.after_begin_epoch");
  LOCKSTEP_TRY_ASSIGN(const std::int64_t epoch,
                      database.query_integer("SELECT value FROM meta WHERE name = 'epoch'"),
                      "begin an epoch");
  return static_cast<std::uint64_t>(epoch);
}

}  // namespace lockstep
