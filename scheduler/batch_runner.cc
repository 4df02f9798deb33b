#include "scheduler/batch_runner.h"

#include <algorithm>
#include <utility>

#include "base/check.h"

namespace lockstep {
namespace {

FileRecord output_record(const BatchRecord& batch, bool is_error, std::uint64_t bytes,
                         std::int64_t lifetime_ms) {
  FileRecord file;
  file.id = is_error ? batch.error_file : batch.output_file;
  file.tenant = batch.tenant;
  file.purpose = "batch_output";
  file.filename = batch_id_text(batch.id) + (is_error ? "_error.jsonl" : "_output.jsonl");
  file.bytes = bytes;
  file.created_ms = batch.ended_ms();
  file.expires_ms = file.created_ms + lifetime_ms;
  return file;
}

bool may_expire(const BatchRecord& batch, std::int64_t unix_ms) {
  const bool is_waiting =
      batch.state == BatchState::kValidating || batch.state == BatchState::kInProgress;
  return is_waiting && !batch.is_expired && batch.expires_ms > 0 && unix_ms >= batch.expires_ms;
}

}  // namespace

BatchRunner::BatchRunner(const BatchRunnerConfig& config, RequestIdSource& ids)
    : config_(config), ids_(ids) {}

void BatchRunner::recover(Now now, std::vector<BatchRecord> batches,
                          const std::vector<OpenLine>& lines) {
  CHECK(batches_.empty(), "recover() comes first");
  for (BatchRecord& record : batches) {
    const RequestId id = record.id;
    batches_[id].record = std::move(record);
  }
  for (const OpenLine& line : lines) {
    const auto found = batches_.find(line.batch);
    if (found == batches_.end()) continue;
    found->second.lines.insert(line.line);
    batch_of_line_[line.line] = line.batch;
    ++lines_of_tenant_[found->second.record.tenant];
  }
  for (auto& [id, batch] : batches_) {
    // The gateway may have died between the cancellation and that of its lines.
    if (batch.record.is_cancelled && !batch.lines.empty()) {
      effects_.emplace_back(CancelLines{{batch.lines.begin(), batch.lines.end()}});
    }
    advance(now, batch);
  }
}

Status BatchRunner::admit(const std::string& tenant) const {
  const auto of_tenant = std::ranges::count_if(
      batches_, [&](const auto& entry) { return entry.second.record.tenant == tenant; });
  if (batches_.size() >= config_.max_open ||
      static_cast<std::size_t>(of_tenant) >= config_.max_tenant_open) {
    return Error{ErrorCode::kExhausted, "too many batches have not ended: at most " +
                                            std::to_string(config_.max_tenant_open) +
                                            " of a tenant, try again later"};
  }
  return {};
}

void BatchRunner::created(Now now, BatchRecord record) {
  const RequestId id = record.id;
  Batch& batch = batches_[id];
  batch.record = std::move(record);
  advance(now, batch);
}

bool BatchRunner::cancel(Now now, RequestId id) {
  const auto found = batches_.find(id);
  if (found == batches_.end()) return false;
  found->second.is_cancel_asked = true;
  found->second.retry_ms = 0;
  advance(now, found->second);
  return true;
}

void BatchRunner::line_ended(Now now, RequestId line, JobState state) {
  const auto known = batch_of_line_.find(line);
  if (known == batch_of_line_.end()) return;
  Batch& batch = batches_.at(known->second);
  batch_of_line_.erase(known);
  batch.lines.erase(line);
  --lines_of_tenant_[batch.record.tenant];
  ++(state == JobState::kDone ? batch.record.counts.completed : batch.record.counts.failed);
  advance(now, batch);
}

void BatchRunner::validated(Now now, RequestId id, Result<BatchValidator::Verdict> verdict) {
  const auto found = batches_.find(id);
  if (found == batches_.end()) return;
  Batch& batch = found->second;
  batch.is_working = false;
  // What is being changed now decides first; the file is checked again if that fails.
  if (batch.commit != Batch::Commit::kNone || batch.record.state != BatchState::kValidating) return;
  batch.next = batch.record;
  Status status;
  if (!verdict.ok()) {
    status = fail_batch(batch.next,
                        {{"input_file_unreadable", verdict.error().message, "input_file_id", 0}},
                        now.unix_ms);
  } else if (!verdict.value().errors.empty()) {
    status = fail_batch(batch.next, std::move(verdict.value().errors), now.unix_ms);
  } else {
    status = begin_batch(batch.next, verdict.value().num_lines, now.unix_ms);
  }
  CHECK(status.ok(), "a batch that was validated leaves that state");
  update(batch, Batch::Commit::kUpdate);
}

void BatchRunner::lines_read(Now now, RequestId id, Result<LinesRead> read) {
  const auto found = batches_.find(id);
  if (found == batches_.end()) return;
  Batch& batch = found->second;
  batch.is_working = false;
  if (!read.ok() || read.value().lines.empty()) {
    batch.retry_ms = now.mono_ms + config_.retry_ms;
    return;
  }
  if (batch.commit == Batch::Commit::kNone && is_feeding(batch.record)) {
    return feed(now, batch, std::move(read).value());
  }
  advance(now, batch);
}

// The rows of the lines and the place behind them are one commit: after a crash, either all of them
// are there or none, and feeding goes on behind.
void BatchRunner::feed(Now now, Batch& batch, LinesRead read) {
  const BatchRecord& record = batch.record;
  FeedLines effect{.batch = record.id, .lines = {}, .with = {}};
  for (LineJob& line : read.lines) {
    JobRecord& job = line.record;
    job.id = ids_.next(now.unix_ms);
    job.tenant = record.tenant;
    job.batch = record.id;
    job.expires_ms = record.expires_ms;
    if (job.model_id != record.model_id || job.numerics_version != record.numerics_version) {
      line.status = Error{ErrorCode::kUnavailable, "accepted for model " + record.model_id.hex() +
                                                       ", which is no longer served"};
      job.model_id = record.model_id;
      job.numerics_version = record.numerics_version;
    }
    if (line.status.ok()) {
      batch.feeding.push_back(job.id);
      batch.lines.insert(job.id);
      batch_of_line_[job.id] = record.id;
      effect.lines.push_back(std::move(job));
      continue;
    }
    const JobOutcome outcome{JobState::kFailed, now.unix_ms, line.status.error().message};
    const RequestId id = job.id;
    effect.with.emplace_back(InsertJob{std::move(job)});
    effect.with.emplace_back(EndJob{id, outcome});
    ++batch.failed_at_once;
  }
  lines_of_tenant_[record.tenant] += static_cast<std::uint32_t>(batch.feeding.size());
  batch.next = record;
  batch.next.fed_lines += static_cast<std::uint32_t>(read.lines.size());
  batch.next.fed_bytes = read.end_bytes;
  effect.with.emplace_back(UpdateBatch{batch.next});
  batch.commit = Batch::Commit::kFeed;
  effects_.emplace_back(std::move(effect));
}

void BatchRunner::end_feeding(Batch& batch, bool is_stored) {
  if (is_stored) {
    batch.record.counts.failed += batch.failed_at_once;
  } else {
    for (const RequestId& line : batch.feeding) {
      batch.lines.erase(line);
      batch_of_line_.erase(line);
    }
    lines_of_tenant_[batch.record.tenant] -= static_cast<std::uint32_t>(batch.feeding.size());
  }
  batch.feeding.clear();
  batch.failed_at_once = 0;
}

void BatchRunner::stored(Now now, RequestId id, const Status& status) {
  const auto found = batches_.find(id);
  if (found == batches_.end()) return;
  take_commit(now, found->second, status);
  advance(now, found->second);
  end_if_terminal(id);
}

void BatchRunner::take_commit(Now now, Batch& batch, const Status& status) {
  const Batch::Commit commit = std::exchange(batch.commit, Batch::Commit::kNone);
  CHECK(commit != Batch::Commit::kNone, "the store answered what it was not asked");
  if (commit == Batch::Commit::kFeed) end_feeding(batch, status.ok());
  if (!status.ok()) {
    batch.retry_ms = now.mono_ms + config_.retry_ms;
    if (commit == Batch::Commit::kCancel) effects_.emplace_back(AnswerCancel{batch.record, status});
    return;
  }
  // Lines may have ended meanwhile; they count themselves.
  batch.next.counts.completed = batch.record.counts.completed;
  batch.next.counts.failed = batch.record.counts.failed;
  batch.record = batch.next;
  if (commit != Batch::Commit::kCancel) return;
  if (!batch.lines.empty()) {
    effects_.emplace_back(CancelLines{{batch.lines.begin(), batch.lines.end()}});
  }
  effects_.emplace_back(AnswerCancel{batch.record, {}});
}

void BatchRunner::written(Now now, RequestId id, const Result<WrittenFiles>& files) {
  const auto found = batches_.find(id);
  if (found == batches_.end()) return;
  Batch& batch = found->second;
  batch.is_working = false;
  if (!files.ok()) {
    batch.retry_ms = now.mono_ms + config_.retry_ms;
    return;
  }
  CHECK(batch.commit == Batch::Commit::kNone, "nothing changes a batch whose output is written");
  batch.next = batch.record;
  if (files.value().output_bytes == 0) batch.next.output_file = {};
  if (files.value().error_bytes == 0) batch.next.error_file = {};
  CHECK(finish_batch(batch.next, now.unix_ms).ok(), "a batch whose output is written ends");
  std::vector<StoreWrite> writes;
  for (const bool is_error : {false, true}) {
    const std::uint64_t bytes = is_error ? files.value().error_bytes : files.value().output_bytes;
    if (bytes == 0) continue;
    writes.emplace_back(
        InsertFile{output_record(batch.next, is_error, bytes, config_.output_lifetime_ms)});
  }
  writes.emplace_back(UpdateBatch{batch.next});
  batch.commit = Batch::Commit::kUpdate;
  effects_.emplace_back(StoreBatch{id, std::move(writes)});
}

void BatchRunner::tick(Now now) {
  for (auto& [id, batch] : batches_) advance(now, batch);
}

const BatchRecord* BatchRunner::find(RequestId id) const {
  const auto found = batches_.find(id);
  return found == batches_.end() ? nullptr : &found->second.record;
}

void BatchRunner::update(Batch& batch, Batch::Commit commit) {
  batch.commit = commit;
  effects_.emplace_back(StoreBatch{batch.record.id, {UpdateBatch{batch.next}}});
}

// One change of a batch at a time is on its way to the disk; the next is decided behind it.
void BatchRunner::advance(Now now, Batch& batch) {
  if (batch.commit != Batch::Commit::kNone || now.mono_ms < batch.retry_ms) return;
  if (is_terminal(batch.record.state)) return;
  if (!begin_change(now, batch) && !batch.is_working) begin_work(batch);
}

bool BatchRunner::begin_change(Now now, Batch& batch) {
  if (std::exchange(batch.is_cancel_asked, false)) {
    batch.next = batch.record;
    const Status status = cancel_batch(batch.next, now.unix_ms);
    if (status.ok() && batch.next != batch.record) {
      update(batch, Batch::Commit::kCancel);
      return true;
    }
    effects_.emplace_back(AnswerCancel{batch.record, status});
  }
  const bool expires = may_expire(batch.record, now.unix_ms);
  if (!expires && !is_ready_to_finalize(batch.record)) return false;
  batch.next = batch.record;
  if (expires) {
    CHECK(expire_batch(batch.next, now.unix_ms).ok(), "an open batch expires");
  } else {
    const RequestId output = ids_.next(now.unix_ms);
    const RequestId errors = ids_.next(now.unix_ms);
    CHECK(finalize_batch(batch.next, output, errors, now.unix_ms).ok(), "it was ready");
  }
  update(batch, Batch::Commit::kUpdate);
  return true;
}

void BatchRunner::begin_work(Batch& batch) {
  const BatchRecord& record = batch.record;
  if (record.state == BatchState::kValidating) {
    effects_.emplace_back(ValidateBatch{record});
  } else if (record.finalizing_ms != 0) {
    effects_.emplace_back(WriteOutput{record});
  } else if (const std::uint32_t room = room_of(batch); is_feeding(record) && room > 0) {
    effects_.emplace_back(ReadLines{record, room});
  } else {
    return;
  }
  batch.is_working = true;
}

// Lines that may be fed now: none until it is worth a commit.
std::uint32_t BatchRunner::room_of(const Batch& batch) const {
  const auto less = [](std::uint32_t limit, std::uint32_t used) {
    return limit > used ? limit - used : 0;
  };
  const auto of_tenant = lines_of_tenant_.find(batch.record.tenant);
  const std::uint32_t used = of_tenant == lines_of_tenant_.end() ? 0 : of_tenant->second;
  const std::uint32_t room =
      std::min(less(config_.window_lines, static_cast<std::uint32_t>(batch.lines.size())),
               less(config_.tenant_lines, used));
  const std::uint32_t left = batch.record.counts.total - batch.record.fed_lines;
  return room < std::min(config_.window_lines / 2, left) ? 0 : room;
}

void BatchRunner::end_if_terminal(RequestId id) {
  const auto found = batches_.find(id);
  if (found == batches_.end() || !is_terminal(found->second.record.state)) return;
  if (found->second.is_cancel_asked) {
    BatchRecord next = found->second.record;
    const Status status = cancel_batch(next, 0);
    effects_.emplace_back(AnswerCancel{found->second.record, status});
  }
  batches_.erase(found);
}

}  // namespace lockstep
