#include "scheduler/gateway/store/batch_tables.h"

#include <utility>

#include "base/canonical_json.h"

namespace lockstep {
namespace {

constexpr const char* kSelectFile =
    "SELECT id, tenant, purpose, filename, bytes, created_ms, expires_ms FROM files ";
constexpr const char* kSelectBatch =
    "SELECT id, tenant, endpoint, input_file, completion_window, metadata, state, errors, "
    "output_file, error_file, total, completed, failed, fed_lines, fed_bytes, is_cancelled, "
    "is_expired, created_ms, expires_ms, in_progress_ms, finalizing_ms, completed_ms, failed_ms, "
    "expired_ms, cancelling_ms, cancelled_ms, model_id, numerics_version FROM batches ";

std::string sql(const char* select, const char* rest) { return std::string(select) + rest; }

FileRecord file_of(const Statement& row) {
  return {.id = row.id(0),
          .tenant = row.text(1),
          .purpose = row.text(2),
          .filename = row.text(3),
          .bytes = static_cast<std::uint64_t>(row.integer(4)),
          .created_ms = row.integer(5),
          .expires_ms = row.integer(6)};
}

// Lists of texts: pairs, and errors as [code, message, param, line].
std::string metadata_text(const BatchRecord& batch) {
  Json json = Json::array();
  for (const auto& [name, value] : batch.metadata) json.push_back(Json::array({name, value}));
  return json.dump(-1, ' ', false, Json::error_handler_t::replace);
}

std::string errors_text(const BatchRecord& batch) {
  Json json = Json::array();
  for (const BatchError& error : batch.errors) {
    json.push_back(Json::array({error.code, error.message, error.param, error.line}));
  }
  return json.dump(-1, ' ', false, Json::error_handler_t::replace);
}

bool has_shape(const Json& json, std::size_t num_texts, bool has_number) {
  if (!json.is_array()) return false;
  for (const Json& row : json) {
    if (!row.is_array() || row.size() != num_texts + (has_number ? 1 : 0)) return false;
    for (std::size_t i = 0; i < num_texts; ++i) {
      if (!row[i].is_string()) return false;
    }
    if (has_number && !row[num_texts].is_number_unsigned()) return false;
  }
  return true;
}

Result<BatchRecord> batch_of(const Statement& row) {
  BatchRecord batch;
  batch.id = row.id(0);
  batch.tenant = row.text(1);
  batch.endpoint = row.text(2);
  batch.input_file = row.id(3);
  batch.completion_window = row.text(4);
  LOCKSTEP_TRY_ASSIGN(const Json metadata, parse_json(row.text(5)), "batch: metadata");
  LOCKSTEP_TRY_ASSIGN(const Json errors, parse_json(row.text(7)), "batch: errors");
  if (!has_shape(metadata, 2, false) || !has_shape(errors, 3, true) || row.integer(6) < 0 ||
      row.integer(6) >= kNumBatchStates) {
    return Error{ErrorCode::kCorrupt, "the row of " + batch_id_text(batch.id) + " is damaged"};
  }
  for (const Json& pair : metadata) batch.metadata.emplace_back(pair[0], pair[1]);
  batch.state = static_cast<BatchState>(row.integer(6));
  for (const Json& error : errors) {
    batch.errors.push_back({error[0], error[1], error[2], error[3]});
  }
  batch.output_file = row.id(8);
  batch.error_file = row.id(9);
  batch.counts = {row.u32(10), row.u32(11), row.u32(12)};
  batch.fed_lines = row.u32(13);
  batch.fed_bytes = static_cast<std::uint64_t>(row.integer(14));
  batch.is_cancelled = row.integer(15) != 0;
  batch.is_expired = row.integer(16) != 0;
  int column = 17;
  for (std::int64_t* time : {&batch.created_ms, &batch.expires_ms, &batch.in_progress_ms,
                             &batch.finalizing_ms, &batch.completed_ms, &batch.failed_ms,
                             &batch.expired_ms, &batch.cancelling_ms, &batch.cancelled_ms}) {
    *time = row.integer(column++);
  }
  batch.model_id = row.digest(column++);
  batch.numerics_version = row.u32(column);
  return batch;
}

Result<std::vector<BatchRecord>> batches_of(Statement& rows) {
  std::vector<BatchRecord> batches;
  for (;;) {
    LOCKSTEP_TRY_ASSIGN(const bool found, rows.step(), "batches");
    if (!found) return batches;
    Result<BatchRecord> batch = batch_of(rows);
    if (!batch.ok()) {
      rows.reset();
      return std::move(batch).error();
    }
    batches.push_back(std::move(batch).value());
  }
}

// Behind the latest when there is none.
RequestId bound_of(const RequestId& before) {
  RequestId bound = before;
  if (before.is_zero()) bound.bytes.fill(0xFF);
  return bound;
}

}  // namespace

Result<BatchTables> BatchTables::prepare(Database& database, const RetentionTimes& retention) {
  BatchTables t(retention);
  LOCKSTEP_TRY_ASSIGN(t.insert_file_,
                      database.prepare("INSERT OR IGNORE INTO files VALUES(?,?,?,?,?,?,?)"),
                      "files");
  LOCKSTEP_TRY_ASSIGN(t.remove_file_, database.prepare("DELETE FROM files WHERE id=? RETURNING 1"),
                      "files");
  LOCKSTEP_TRY_ASSIGN(
      t.find_reader_,
      database.prepare("SELECT id FROM batches WHERE remove_ms IS NULL AND input_file=? LIMIT 1"),
      "files");
  LOCKSTEP_TRY_ASSIGN(t.load_file_, database.prepare(sql(kSelectFile, "WHERE id=?")), "files");
  LOCKSTEP_TRY_ASSIGN(t.list_files_,
                      database.prepare(sql(kSelectFile,
                                           "WHERE tenant=?1 AND (?2='' OR purpose=?2) AND id < ?3 "
                                           "ORDER BY id DESC LIMIT ?4")),
                      "files");
  LOCKSTEP_TRY_ASSIGN(t.sum_bytes_,
                      database.prepare("SELECT coalesce(sum(bytes), 0) FROM files WHERE tenant=?"),
                      "files");
  LOCKSTEP_TRY_ASSIGN(
      t.insert_batch_,
      database.prepare(
          "INSERT OR IGNORE INTO batches(id, tenant, endpoint, input_file, "
          "completion_window, metadata, created_ms, expires_ms, model_id, "
          "numerics_version, state, errors, "
          "output_file, error_file, total, completed, failed, fed_lines, fed_bytes, "
          "is_cancelled, is_expired, in_progress_ms, finalizing_ms, completed_ms, "
          "failed_ms, expired_ms, cancelling_ms, cancelled_ms) VALUES(?,?,?,?,?,?,?,?,?,?,"
          "0,'[]',zeroblob(16),zeroblob(16),0,0,0,0,0,0,0,0,0,0,0,0,0,0)"),
      "batches");
  LOCKSTEP_TRY_ASSIGN(
      t.update_batch_,
      database.prepare("UPDATE batches SET state=?, errors=?, output_file=?, error_file=?, total=?,"
                       "fed_lines=?, fed_bytes=?, is_cancelled=?, is_expired=?, in_progress_ms=?, "
                       "finalizing_ms=?, completed_ms=?, failed_ms=?, expired_ms=?, "
                       "cancelling_ms=?, cancelled_ms=?, remove_lines_ms=nullif(?,0), "
                       "remove_ms=nullif(?,0) WHERE id=? RETURNING 1"),
      "batches");
  LOCKSTEP_TRY_ASSIGN(t.load_batch_, database.prepare(sql(kSelectBatch, "WHERE id=?")), "batches");
  LOCKSTEP_TRY_ASSIGN(
      t.list_batches_,
      database.prepare(sql(kSelectBatch, "WHERE tenant=? AND id < ? ORDER BY id DESC LIMIT ?")),
      "batches");
  LOCKSTEP_TRY_ASSIGN(t.open_batches_,
                      database.prepare(sql(kSelectBatch, "WHERE remove_ms IS NULL ORDER BY id")),
                      "batches");
  return t;
}

Status BatchTables::insert_file(const FileRecord& file) {
  return insert_file_
      .bind(file.id, file.tenant, file.purpose, file.filename,
            static_cast<std::int64_t>(file.bytes), file.created_ms, file.expires_ms)
      .run();
}

Status BatchTables::remove_file(const RequestId& id) {
  find_reader_.bind(id);
  LOCKSTEP_TRY_ASSIGN(const bool is_read, find_reader_.step(), "remove a file");
  if (is_read) {
    const std::string reader = batch_id_text(find_reader_.id(0));
    find_reader_.reset();
    return Error{ErrorCode::kInvalidArgument, "file " + file_id_text(id) + " is read by " + reader +
                                                  "; cancel it first, or wait for its end"};
  }
  remove_file_.bind(id);
  LOCKSTEP_TRY_ASSIGN(const bool found, remove_file_.step(), "remove a file");
  remove_file_.reset();
  if (!found) return Error{ErrorCode::kNotFound, "there is no file " + file_id_text(id)};
  return {};
}

Status BatchTables::insert_batch(const BatchRecord& batch) {
  const std::string metadata = metadata_text(batch);
  LOCKSTEP_TRY(insert_batch_
                   .bind(batch.id, batch.tenant, batch.endpoint, batch.input_file,
                         batch.completion_window, metadata, batch.created_ms, batch.expires_ms,
                         batch.model_id, batch.numerics_version)
                   .run(),
               "insert a batch");
  return update_batch(batch);
}

Status BatchTables::update_batch(const BatchRecord& batch) {
  const std::string errors = errors_text(batch);
  const std::int64_t ended_ms = batch.ended_ms();
  update_batch_.bind(static_cast<std::uint32_t>(batch.state), errors, batch.output_file,
                     batch.error_file, batch.counts.total, batch.fed_lines,
                     static_cast<std::int64_t>(batch.fed_bytes), batch.is_cancelled,
                     batch.is_expired, batch.in_progress_ms, batch.finalizing_ms,
                     batch.completed_ms, batch.failed_ms, batch.expired_ms, batch.cancelling_ms,
                     batch.cancelled_ms, ended_ms == 0 ? 0 : ended_ms + retention_.batch_line_ms,
                     ended_ms == 0 ? 0 : ended_ms + retention_.batch_ms, batch.id);
  LOCKSTEP_TRY_ASSIGN(const bool found, update_batch_.step(), "update a batch");
  update_batch_.reset();
  if (!found) return Error{ErrorCode::kNotFound, "there is no batch " + batch_id_text(batch.id)};
  return {};
}

Result<FileRecord> BatchTables::load_file(const std::string& tenant, const RequestId& id) {
  load_file_.bind(id);
  LOCKSTEP_TRY_ASSIGN(const bool found, load_file_.step(), "file");
  if (found) {
    FileRecord file = file_of(load_file_);
    load_file_.reset();
    if (tenant.empty() || file.tenant == tenant) return file;
  }
  return Error{ErrorCode::kNotFound, "there is no file " + file_id_text(id)};
}

Result<std::vector<FileRecord>> BatchTables::list_files(const std::string& tenant,
                                                        const std::string& purpose,
                                                        const RequestId& before,
                                                        std::uint32_t limit) {
  const RequestId bound = bound_of(before);
  list_files_.bind(tenant, purpose, bound, limit);
  std::vector<FileRecord> files;
  for (;;) {
    LOCKSTEP_TRY_ASSIGN(const bool found, list_files_.step(), "files");
    if (!found) return files;
    files.push_back(file_of(list_files_));
  }
}

Result<std::uint64_t> BatchTables::sum_file_bytes(const std::string& tenant) {
  sum_bytes_.bind(tenant);
  LOCKSTEP_TRY_ASSIGN(const bool found, sum_bytes_.step(), "files");
  const std::int64_t sum = found ? sum_bytes_.integer(0) : 0;
  sum_bytes_.reset();
  return static_cast<std::uint64_t>(sum);
}

Result<BatchRecord> BatchTables::load_batch(const std::string& tenant, const RequestId& id) {
  load_batch_.bind(id);
  LOCKSTEP_TRY_ASSIGN(const bool found, load_batch_.step(), "batch");
  if (found) {
    Result<BatchRecord> batch = batch_of(load_batch_);
    load_batch_.reset();
    if (!batch.ok() || tenant.empty() || batch.value().tenant == tenant) return batch;
  }
  return Error{ErrorCode::kNotFound, "there is no batch " + batch_id_text(id)};
}

Result<std::vector<BatchRecord>> BatchTables::list_batches(const std::string& tenant,
                                                           const RequestId& before,
                                                           std::uint32_t limit) {
  const RequestId bound = bound_of(before);
  list_batches_.bind(tenant, bound, limit);
  return batches_of(list_batches_);
}

Result<std::vector<BatchRecord>> BatchTables::load_open_batches() {
  open_batches_.reset();
  return batches_of(open_batches_);
}

}  // namespace lockstep
