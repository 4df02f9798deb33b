#include "scheduler/gateway/store/job_tables.h"

#include <algorithm>
#include <array>
#include <utility>

#include "base/crash_point.h"
#include "scheduler/gateway/store/row_bytes.h"

namespace lockstep {
namespace {

constexpr std::string_view kJobColumns =
    "job, id, kind, tenant, priority, route, request_json, prompt, sampling, num_choices, "
    "num_top_logprobs, model_id, numerics_version, created_ms, expires_ms, keep_without_client, "
    "idempotency_key, body_digest, batch, custom_id";

std::string select_jobs(const char* rest) {
  std::string sql = "SELECT ";
  sql.append(kJobColumns).append(" FROM jobs ").append(rest);
  return sql;
}

constexpr auto kErrorCodes = std::to_array<ErrorCode>(
    {ErrorCode::kInvalidArgument, ErrorCode::kNotFound, ErrorCode::kCorrupt,
     ErrorCode::kUnavailable, ErrorCode::kTimeout, ErrorCode::kExhausted, ErrorCode::kIo,
     ErrorCode::kPermission, ErrorCode::kAborted, ErrorCode::kInternal});

ErrorCode error_code_of(std::string_view name) {
  const auto place =
      std::ranges::find(kErrorCodes, name, [](ErrorCode code) { return error_code_name(code); });
  return place == kErrorCodes.end() ? ErrorCode::kInternal : *place;
}

Error damaged(const Database& database, const RequestId& id, const std::string& what) {
  return Error{ErrorCode::kCorrupt, database.path() + ": job " + id.text() + ": " + what};
}

// The values of a row that are what they are.
JobRecord plain_columns(const Statement& row) {
  JobRecord job;
  job.id = row.id(1);
  job.kind = static_cast<JobKind>(row.integer(2));
  job.tenant = row.text(3);
  job.priority = static_cast<PriorityClass>(row.integer(4));
  job.route = row.text(5);
  job.request_json = row.text(6);
  job.num_choices = row.u32(9);
  job.num_top_logprobs = static_cast<std::int32_t>(row.integer(10));
  job.model_id = row.digest(11);
  job.numerics_version = row.u32(12);
  job.created_ms = row.integer(13);
  job.expires_ms = row.integer(14);
  job.keep_without_client = row.integer(15) != 0;
  job.idempotency_key = row.text(16);
  job.body_digest = row.digest(17);
  job.batch = row.id(18);
  job.custom_id = row.text(19);
  return job;
}

struct NamedStatement {
  Statement* statement;
  std::string sql;
};

Status prepare_all(Database& database, const std::vector<NamedStatement>& statements) {
  for (const auto& [statement, sql] : statements) {
    LOCKSTEP_TRY_ASSIGN(*statement, database.prepare(sql), "prepare");
  }
  return {};
}

}  // namespace

Result<JobTables> JobTables::prepare(Database& database, const RetentionTimes& retention) {
  JobTables t(database, retention);
  const std::string insert_job =
      "INSERT INTO jobs(" + std::string(kJobColumns.substr(5)) +
      ") VALUES(?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,nullif(?,zeroblob(16)),?)";
  LOCKSTEP_TRY(
      prepare_all(
          database,
          {{&t.insert_job_, insert_job},
           {&t.insert_waiting_, "INSERT INTO waiting VALUES(?,?,?,?,?,?,?,?)"},
           {&t.find_key_,
            "SELECT id, body_digest, created_ms FROM idempotency WHERE tenant=? AND route=? AND "
            "key=?"},
           {&t.put_key_, "INSERT OR REPLACE INTO idempotency VALUES(?,?,?,?,?,?)"},
           {&t.find_job_,
            "SELECT job, EXISTS(SELECT 1 FROM outcomes o WHERE o.job = j.job) FROM jobs j WHERE "
            "id=?"},
           {&t.count_tokens_,
            "SELECT first, count FROM tokens WHERE job=? AND choice=? ORDER BY first DESC LIMIT 1"},
           {&t.insert_tokens_,
            "INSERT INTO tokens(job, choice, first, count, rows) VALUES(?,?,?,?,?)"},
           {&t.find_choice_, "SELECT 1 FROM choices WHERE job=? AND choice=?"},
           {&t.insert_choice_, "INSERT INTO choices VALUES(?,?,nullif(?,''),?,?,?,?,?,?)"},
           {&t.delete_waiting_, "DELETE FROM waiting WHERE job=?"},
           {&t.insert_outcome_, "INSERT INTO outcomes VALUES(?,?,?,?,nullif(?,0))"},
           {&t.job_kind_, "SELECT kind, created_ms, idempotency_key FROM jobs WHERE job=?"},
           {&t.count_line_,
            "UPDATE batches SET completed = completed + ?, failed = failed + ? WHERE id = (SELECT "
            "batch FROM jobs WHERE job=?)"},
           {&t.load_job_, select_jobs("WHERE id=?")},
           {&t.load_outcome_, "SELECT state, ended_ms, error FROM outcomes WHERE job=?"},
           {&t.load_choices_, "SELECT * FROM choices WHERE job=? ORDER BY choice"},
           {&t.load_tokens_,
            "SELECT choice, first, count, rows FROM tokens WHERE job=? ORDER BY choice, first"},
           {&t.find_tombstone_, "SELECT tenant FROM tombstones WHERE id=?"},
           {&t.list_jobs_,
            "SELECT id, route, coalesce(state, 0), created_ms, coalesce(ended_ms, 0) FROM jobs "
            "LEFT JOIN outcomes USING(job) WHERE tenant=? AND kind=1 AND id < ? ORDER BY id DESC "
            "LIMIT ?"},
           {&t.load_waiting_, "SELECT * FROM waiting ORDER BY job"},
           {&t.load_open_lines_,
            "SELECT j.id, j.batch FROM waiting w JOIN jobs j USING(job) WHERE w.kind = 2"},
           {&t.load_lines_, select_jobs("WHERE batch=? AND id > ? AND job IN (SELECT job FROM "
                                        "outcomes) ORDER BY id LIMIT ?")},
           {&t.remove_choices_, "DELETE FROM choices WHERE job=?"},
           {&t.remove_tokens_, "DELETE FROM tokens WHERE job=?"},
           {&t.remove_outcome_, "DELETE FROM outcomes WHERE job=?"},
           {&t.put_tombstone_,
            "INSERT OR IGNORE INTO tombstones SELECT id, tenant FROM jobs WHERE job=?"},
           {&t.remove_job_, "DELETE FROM jobs WHERE job=?"}}),
      "jobs");
  return t;
}

Status JobTables::take_key(const JobRecord& job) {
  find_key_.bind(job.tenant, job.route, job.idempotency_key);
  LOCKSTEP_TRY_ASSIGN(const bool found, find_key_.step(), "idempotency key");
  const bool is_taken = found && find_key_.integer(2) + retention_.idempotency_ms > job.created_ms;
  find_key_.reset();
  if (is_taken) return Error{ErrorCode::kAborted, "the idempotency key is taken"};
  return put_key_
      .bind(job.tenant, job.route, job.idempotency_key, job.id, job.body_digest, job.created_ms)
      .run();
}

Status JobTables::insert(const JobRecord& job) {
  CRASH_POINT("store.before_insert");
  if (!job.idempotency_key.empty()) LOCKSTEP_TRY(take_key(job), "accept");
  LOCKSTEP_TRY_ASSIGN(const Place there, find(job.id), "accept");
  if (there.job != 0) {
    return Error{ErrorCode::kInvalidArgument, "job " + job.id.text() + " is there already"};
  }
  const Bytes prompt = encode_token_ids(job.prompt);
  const Bytes sampling = encode_sampling(job.sampling);
  insert_job_.bind(job.id, static_cast<std::uint32_t>(job.kind), job.tenant,
                   static_cast<std::uint32_t>(job.priority), job.route, job.request_json, prompt,
                   sampling, job.num_choices, job.num_top_logprobs, job.model_id,
                   job.numerics_version, job.created_ms, job.expires_ms, job.keep_without_client,
                   job.idempotency_key, job.body_digest, job.batch, job.custom_id);
  LOCKSTEP_TRY(insert_job_.run(), "accept");
  insert_waiting_.bind(database_->last_row(), job.id, job.tenant,
                       static_cast<std::uint32_t>(job.priority),
                       static_cast<std::uint32_t>(job.kind), job.num_choices, job.expires_ms,
                       job.keep_without_client);
  LOCKSTEP_TRY(insert_waiting_.run(), "accept");
  CRASH_POINT("store.after_insert");
  return {};
}

// job is 0 when it is not there.
Result<JobTables::Place> JobTables::find(const RequestId& id) {
  find_job_.bind(id);
  LOCKSTEP_TRY_ASSIGN(const bool found, find_job_.step(), "job");
  if (!found) return Place{};
  const Place place{find_job_.integer(0), find_job_.integer(1) != 0};
  find_job_.reset();
  return place;
}

Result<std::uint32_t> JobTables::count_tokens(std::int64_t job, std::uint32_t choice) {
  count_tokens_.bind(job, choice);
  LOCKSTEP_TRY_ASSIGN(const bool found, count_tokens_.step(), "tokens");
  if (!found) return 0U;
  const std::uint32_t count = count_tokens_.u32(0) + count_tokens_.u32(1);
  count_tokens_.reset();
  return count;
}

Status JobTables::append(const AppendTokens& piece) {
  const ChoiceKey& key = piece.key;
  LOCKSTEP_TRY_ASSIGN(const Place place, find(key.request), "append");
  if (place.job == 0) return why_missing("", key.request);
  if (place.is_terminal) return {};
  LOCKSTEP_TRY_ASSIGN(const std::uint32_t there, count_tokens(place.job, key.choice), "append");
  if (piece.first > there) {
    return Error{ErrorCode::kInvalidArgument, "job " + key.request.text() + ": tokens from " +
                                                  std::to_string(piece.first) + " on, only " +
                                                  std::to_string(there) + " are there"};
  }
  const std::size_t known = there - piece.first;
  if (known >= piece.tokens.size()) return {};
  const auto fresh = std::span(piece.tokens).subspan(known);
  const Bytes rows = encode_completion(fresh);
  LOCKSTEP_TRY(
      insert_tokens_
          .bind(place.job, key.choice, there, static_cast<std::uint32_t>(fresh.size()), rows)
          .run(),
      "append");
  CRASH_POINT("store.append_tokens");
  return {};
}

Status JobTables::end_choice(const EndChoice& end) {
  LOCKSTEP_TRY_ASSIGN(const Place place, find(end.key.request), "end a choice");
  if (place.job == 0) return why_missing("", end.key.request);
  if (place.is_terminal) return {};
  find_choice_.bind(place.job, end.key.choice);
  LOCKSTEP_TRY_ASSIGN(const bool ended, find_choice_.step(), "end a choice");
  find_choice_.reset();
  if (ended) return {};
  const ChoiceEnd& e = end.end;
  const std::string_view code = e.status.ok() ? "" : error_code_name(e.status.error().code);
  const std::string_view message = e.status.ok() ? "" : std::string_view(e.status.error().message);
  return insert_choice_
      .bind(place.job, end.key.choice, code, message, static_cast<std::uint32_t>(e.reason),
            e.num_tokens, e.cached_tokens, e.computed_tokens, e.steps)
      .run();
}

// 0: with its batch. A job with an idempotency key is kept as long as the key, so that an equal
// request finds its answer.
std::int64_t JobTables::removal_ms(const Statement& row, std::int64_t ended_ms) const {
  const auto kind = static_cast<JobKind>(row.integer(0));
  if (kind == JobKind::kBatchLine) return 0;
  const std::int64_t kept = kind == JobKind::kRequest ? retention_.request_ms : retention_.job_ms;
  const bool has_key = !row.text(2).empty();
  return std::max(ended_ms + kept, has_key ? row.integer(1) + retention_.idempotency_ms : 0);
}

Status JobTables::count_ended_line(std::int64_t job, JobState state) {
  const bool done = state == JobState::kDone;
  return count_line_.bind(done, !done, job).run();
}

Status JobTables::end_job(const EndJob& end) {
  LOCKSTEP_TRY_ASSIGN(const Place place, find(end.id), "end a job");
  if (place.job == 0) return why_missing("", end.id);
  if (place.is_terminal) return {};
  job_kind_.bind(place.job);
  LOCKSTEP_TRY_ASSIGN(const bool found, job_kind_.step(), "end a job");
  if (!found) return why_missing("", end.id);
  const bool is_line = static_cast<JobKind>(job_kind_.integer(0)) == JobKind::kBatchLine;
  const std::int64_t remove_ms = removal_ms(job_kind_, end.outcome.ended_ms);
  job_kind_.reset();
  LOCKSTEP_TRY(insert_outcome_
                   .bind(place.job, static_cast<std::uint32_t>(end.outcome.state),
                         end.outcome.ended_ms, end.outcome.error, remove_ms)
                   .run(),
               "end a job");
  LOCKSTEP_TRY(delete_waiting_.bind(place.job).run(), "end a job");
  if (is_line) LOCKSTEP_TRY(count_ended_line(place.job, end.outcome.state), "end a line");
  CRASH_POINT("store.terminal_row");
  return {};
}

// What to say of an id without a row.
Error JobTables::why_missing(const std::string& tenant, const RequestId& id) {
  find_tombstone_.bind(id);
  const Result<bool> found = find_tombstone_.step();
  if (!found.ok()) return found.error();
  const bool was_there = found.value() && (tenant.empty() || find_tombstone_.text(0) == tenant);
  find_tombstone_.reset();
  if (was_there) return Error{ErrorCode::kAborted, "job " + id.text() + " is past its retention"};
  return Error{ErrorCode::kNotFound, "there is no job " + id.text()};
}

Status JobTables::load_outcome(std::int64_t job, StoredJob& out) {
  load_outcome_.bind(job);
  LOCKSTEP_TRY_ASSIGN(const bool found, load_outcome_.step(), "outcome");
  if (!found) return {};
  out.state = static_cast<JobState>(load_outcome_.integer(0));
  out.outcome = {out.state, load_outcome_.integer(1), load_outcome_.text(2)};
  load_outcome_.reset();
  return {};
}

Status JobTables::load_choices(std::int64_t job, StoredJob& out) {
  load_choices_.bind(job);
  for (;;) {
    LOCKSTEP_TRY_ASSIGN(const bool found, load_choices_.step(), "choices");
    if (!found) return {};
    const std::uint32_t choice = load_choices_.u32(1);
    if (choice >= out.choices.size())
      return damaged(*database_, out.record.id, "a choice too many");
    ChoiceEnd end;
    if (!load_choices_.is_null(2)) {
      end.status = Error{error_code_of(load_choices_.text(2)), load_choices_.text(3)};
    }
    end.reason = static_cast<FinishReason>(load_choices_.integer(4));
    end.num_tokens = load_choices_.u32(5);
    end.cached_tokens = load_choices_.u32(6);
    end.computed_tokens = load_choices_.u32(7);
    end.steps = load_choices_.u32(8);
    out.choices[choice].end = std::move(end);
  }
}

Status JobTables::load_tokens(std::int64_t job, StoredJob& out) {
  load_tokens_.bind(job);
  for (;;) {
    LOCKSTEP_TRY_ASSIGN(const bool found, load_tokens_.step(), "tokens");
    if (!found) return {};
    const std::uint32_t choice = load_tokens_.u32(0);
    if (choice >= out.choices.size())
      return damaged(*database_, out.record.id, "a choice too many");
    std::vector<CompletionToken>& tokens = out.choices[choice].tokens;
    if (load_tokens_.u32(1) != tokens.size()) {
      return damaged(*database_, out.record.id, "tokens are missing");
    }
    const Status decoded = decode_completion(load_tokens_.bytes(3), load_tokens_.u32(2), tokens);
    if (!decoded.ok()) return damaged(*database_, out.record.id, decoded.error().message);
  }
}

// The job of the row that `row` stands on.
Result<StoredJob> JobTables::load_row(Statement& row) {
  StoredJob out;
  const std::int64_t job = row.integer(0);
  out.record = plain_columns(row);
  Result<std::vector<std::uint32_t>> prompt = decode_token_ids(row.bytes(7));
  if (!prompt.ok()) return damaged(*database_, out.record.id, prompt.error().message);
  out.record.prompt = std::move(prompt).value();
  Result<SamplingParams> sampling = decode_sampling(row.bytes(8));
  if (!sampling.ok()) return damaged(*database_, out.record.id, sampling.error().message);
  out.record.sampling = std::move(sampling).value();
  out.choices.resize(out.record.num_choices);
  LOCKSTEP_TRY(load_outcome(job, out), "load");
  LOCKSTEP_TRY(load_choices(job, out), "load");
  LOCKSTEP_TRY(load_tokens(job, out), "load");
  return out;
}

Result<StoredJob> JobTables::load(const std::string& tenant, const RequestId& id) {
  load_job_.bind(id);
  LOCKSTEP_TRY_ASSIGN(const bool found, load_job_.step(), "load");
  if (!found) return why_missing(tenant, id);
  Result<StoredJob> job = load_row(load_job_);
  load_job_.reset();
  if (job.ok() && !tenant.empty() && job.value().record.tenant != tenant) {
    return Error{ErrorCode::kNotFound, "there is no job " + id.text()};
  }
  return job;
}

Result<JobStore::KeyHolder> JobTables::find_key(const std::string& tenant, const std::string& route,
                                                const std::string& key) {
  find_key_.bind(tenant, route, key);
  LOCKSTEP_TRY_ASSIGN(const bool found, find_key_.step(), "idempotency key");
  if (!found) return Error{ErrorCode::kNotFound, "the idempotency key is not known"};
  const JobStore::KeyHolder holder{find_key_.id(0), find_key_.digest(1)};
  find_key_.reset();
  return holder;
}

Result<std::vector<JobSummary>> JobTables::list(const std::string& tenant, const RequestId& before,
                                                std::uint32_t limit) {
  RequestId bound = before;
  if (before.is_zero()) bound.bytes.fill(0xFF);
  list_jobs_.bind(tenant, bound, limit);
  std::vector<JobSummary> jobs;
  for (;;) {
    LOCKSTEP_TRY_ASSIGN(const bool found, list_jobs_.step(), "list jobs");
    if (!found) return jobs;
    jobs.push_back({list_jobs_.id(0), list_jobs_.text(1),
                    static_cast<JobState>(list_jobs_.integer(2)), list_jobs_.integer(3),
                    list_jobs_.integer(4)});
  }
}

Result<std::vector<WaitingJob>> JobTables::load_waiting() {
  load_waiting_.reset();
  std::vector<WaitingJob> jobs;
  for (;;) {
    LOCKSTEP_TRY_ASSIGN(const bool found, load_waiting_.step(), "waiting jobs");
    if (!found) return jobs;
    jobs.push_back({.id = load_waiting_.id(1),
                    .tenant = load_waiting_.text(2),
                    .priority = static_cast<PriorityClass>(load_waiting_.integer(3)),
                    .kind = static_cast<JobKind>(load_waiting_.integer(4)),
                    .num_choices = load_waiting_.u32(5),
                    .expires_ms = load_waiting_.integer(6),
                    .keep_without_client = load_waiting_.integer(7) != 0});
  }
}

Result<std::vector<OpenLine>> JobTables::load_open_lines() {
  load_open_lines_.reset();
  std::vector<OpenLine> lines;
  for (;;) {
    LOCKSTEP_TRY_ASSIGN(const bool found, load_open_lines_.step(), "open lines");
    if (!found) return lines;
    lines.push_back({load_open_lines_.id(0), load_open_lines_.id(1)});
  }
}

Result<std::vector<StoredJob>> JobTables::load_lines(const RequestId& batch, const RequestId& after,
                                                     std::uint32_t limit) {
  load_lines_.bind(batch, after, limit);
  std::vector<StoredJob> lines;
  for (;;) {
    LOCKSTEP_TRY_ASSIGN(const bool found, load_lines_.step(), "lines");
    if (!found) return lines;
    Result<StoredJob> line = load_row(load_lines_);
    if (!line.ok()) {
      load_lines_.reset();
      return std::move(line).error();
    }
    lines.push_back(std::move(line).value());
  }
}

Status JobTables::remove(std::int64_t job) {
  LOCKSTEP_TRY(put_tombstone_.bind(job).run(), "remove");
  for (Statement* statement :
       {&remove_tokens_, &remove_choices_, &remove_outcome_, &delete_waiting_, &remove_job_}) {
    LOCKSTEP_TRY(statement->bind(job).run(), "remove");
  }
  return {};
}

}  // namespace lockstep
