#include "scheduler/gateway/batch/batch_service.h"

#include <utility>

#include "base/crash_point.h"
#include "base/log.h"
#include "scheduler/gateway/batch/blocking_call.h"

namespace lockstep {
namespace {

constexpr int kIdleTickMs = 1'000;

void log_failure(const char* event, RequestId batch, const Error& error) {
  if (error.code == ErrorCode::kAborted) return;
  log_event(LogLevel::kError, event, {{"batch", batch_id_text(batch)}, {"error", error.message}});
}

}  // namespace

BatchService::BatchService(const BatchRunnerConfig& config, Parts parts, BatchLines lines)
    : parts_(std::move(parts)),
      lines_(std::move(lines)),
      ids_(*parts_.random),
      runner_(config, ids_),
      disk_({.directory = parts_.directory,
             .store = parts_.store,
             .lines = &lines_,
             .clock = parts_.clock,
             .random = parts_.random}),
      worker_(kIdleTickMs, [] {}) {}

BatchService::~BatchService() { stop(); }

void BatchService::stop() {
  disk_.stop();
  worker_.stop();
}

Status BatchService::load() {
  LOCKSTEP_TRY_ASSIGN(auto batches, await_call<Result<std::vector<BatchRecord>>>([this](auto done) {
                        parts_.store->load_open_batches(std::move(done));
                      }),
                      "batches");
  LOCKSTEP_TRY_ASSIGN(const auto lines,
                      await_call<Result<std::vector<OpenLine>>>(
                          [this](auto done) { parts_.store->load_open_lines(std::move(done)); }),
                      "lines of batches");
  runner_.recover(parts_.now(), std::move(batches), lines);
  worker_.start();
  return {};
}

void BatchService::begin() {
  has_begun_ = true;
  run_effects();
}

void BatchService::job_ended(RequestId job, JobState state) {
  runner_.line_ended(parts_.now(), job, state);
  run_effects();
}

void BatchService::tick() {
  runner_.tick(parts_.now());
  run_effects();
}

void BatchService::create(BatchRecord batch, BatchCallback done) {
  parts_.store->load_file(
      batch.tenant, batch.input_file,
      [this, batch, done = std::move(done)](const Result<FileRecord>& file) {
        if (!file.ok()) return done(file.error());
        if (file.value().purpose != "batch") {
          return done(Error{ErrorCode::kInvalidArgument,
                            "input_file_id: expected a file of purpose \"batch\""});
        }
        parts_.post([this, batch, done] { insert(batch, done); });
      });
}

void BatchService::insert(BatchRecord batch, const BatchCallback& done) {
  const Status admitted = runner_.admit(batch.tenant);
  if (!admitted.ok()) return done(admitted.error());
  const auto window_ms = parse_completion_window(batch.completion_window);
  if (!window_ms.ok()) return done(window_ms.error());
  batch.expires_ms = batch.created_ms + window_ms.value();
  batch.model_id = lines_.model_id();
  batch.numerics_version = lines_.numerics_version();
  parts_.jobs->commit({InsertBatch{batch}}, [this, batch, done](const Status& status) {
    if (!status.ok()) return done(status.error());
    CRASH_POINT("batch.created");
    parts_.post([this, batch] {
      runner_.created(parts_.now(), batch);
      run_effects();
    });
    done(batch);
  });
}

void BatchService::find(std::string tenant, RequestId id, BatchCallback done) {
  parts_.store->load_batch(std::move(tenant), id, std::move(done));
}

void BatchService::list(ListQuery query, std::function<void(Result<Listed<BatchRecord>>)> done) {
  const std::size_t limit = query.limit;
  const ListPage page{query.after, static_cast<std::uint32_t>(limit + 1)};
  parts_.store->list_batches(
      std::move(query.tenant), page,
      [limit, done = std::move(done)](Result<std::vector<BatchRecord>> batches) {
        if (!batches.ok()) return done(std::move(batches).error());
        done(listed_page(std::move(batches).value(), limit));
      });
}

// The row tells whose it is.
void BatchService::cancel(std::string tenant, RequestId id, BatchCallback done) {
  const auto ask = [this, id, done = std::move(done)](const Result<BatchRecord>& batch) {
    if (!batch.ok()) return done(batch.error());
    parts_.post([this, id, done] {
      if (!runner_.cancel(parts_.now(), id)) {
        return done(Error{ErrorCode::kInvalidArgument,
                          batch_id_text(id) + " has ended and cannot be cancelled"});
      }
      CRASH_POINT("batch.cancel");
      cancelling_[id].push_back(done);
      run_effects();
    });
  };
  parts_.store->load_batch(std::move(tenant), id, ask);
}

void BatchService::run_effects() {
  if (!has_begun_) return;
  for (auto effects = runner_.take_effects(); !effects.empty(); effects = runner_.take_effects()) {
    for (BatchEffect& effect : effects) {
      std::visit([this](auto& one) { carry_out(one); }, effect);
    }
  }
}

void BatchService::carry_out(ValidateBatch& effect) {
  worker_.post([this, batch = std::move(effect.batch)] {
    auto verdict = disk_.validate(batch);
    if (!verdict.ok()) log_failure("batch_not_checked", batch.id, verdict.error());
    if (!verdict.ok() && verdict.error().code == ErrorCode::kAborted) return;
    CRASH_POINT("batch.validated");
    parts_.post([this, id = batch.id, verdict = std::move(verdict)]() mutable {
      runner_.validated(parts_.now(), id, std::move(verdict));
      run_effects();
    });
  });
}

void BatchService::carry_out(ReadLines& effect) {
  worker_.post([this, batch = std::move(effect.batch), max_lines = effect.max_lines] {
    auto read = disk_.read_lines(batch, max_lines);
    if (!read.ok()) log_failure("batch_not_read", batch.id, read.error());
    parts_.post([this, id = batch.id, read = std::move(read)]() mutable {
      runner_.lines_read(parts_.now(), id, std::move(read));
      run_effects();
    });
  });
}

void BatchService::carry_out(WriteOutput& effect) {
  worker_.post([this, batch = std::move(effect.batch)] {
    auto written = disk_.write_output(batch);
    if (!written.ok()) log_failure("batch_not_written", batch.id, written.error());
    parts_.post([this, id = batch.id, written = std::move(written)] {
      runner_.written(parts_.now(), id, written);
      run_effects();
    });
  });
}

std::function<void(Status)> BatchService::when_stored(RequestId batch) {
  return [this, batch](const Status& status) {
    CRASH_POINT("batch.stored");
    parts_.post([this, batch, status] {
      runner_.stored(parts_.now(), batch, status);
      run_effects();
    });
  };
}

void BatchService::carry_out(FeedLines& effect) {
  CRASH_POINT("batch.feed");
  if (effect.lines.empty()) {
    return parts_.jobs->commit(std::move(effect.with), when_stored(effect.batch));
  }
  parts_.service->submit_lines(std::move(effect.lines), std::move(effect.with),
                               when_stored(effect.batch));
}

void BatchService::carry_out(StoreBatch& effect) {
  parts_.jobs->commit(std::move(effect.writes), when_stored(effect.batch));
}

void BatchService::carry_out(CancelLines& effect) { parts_.service->cancel_lines(effect.lines); }

void BatchService::carry_out(AnswerCancel& effect) {
  const auto node = cancelling_.extract(effect.batch.id);
  if (node.empty()) return;
  if (effect.status.ok()) CRASH_POINT("batch.cancelled");
  for (const BatchCallback& done : node.mapped()) {
    if (effect.status.ok()) {
      done(effect.batch);
    } else {
      done(effect.status.error());
    }
  }
}

}  // namespace lockstep
