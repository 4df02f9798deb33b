#include "tests/simulation/disk.h"

#include <algorithm>
#include <utility>

#include "base/check.h"

namespace lockstep::simulation {

namespace {

constexpr std::size_t kGroup = 64;

Error no_such_job(const RequestId& id) { return {ErrorCode::kNotFound, "no job " + id.text()}; }

}  // namespace

void Disk::set_latency_us(std::int64_t low, std::int64_t high) {
  latency_low_us_ = low;
  latency_high_us_ = high;
}

void Disk::enqueue(Operation operation) {
  operations_.push_back(std::move(operation));
  if (group_ == 0) begin();
}

void Disk::begin() {
  group_ = std::min(operations_.size(), kGroup);
  const std::int64_t latency_us = random_.between(latency_low_us_, latency_high_us_);
  queue_.after(latency_us, [this, life = life_] { end(life); });
}

// The group is on disk: everybody is told, in order.
void Disk::end(std::uint64_t life) {
  if (life != life_) return;
  const bool breaks =
      std::any_of(operations_.begin(), operations_.begin() + static_cast<std::ptrdiff_t>(group_),
                  [](const Operation& one) { return one.read == nullptr; }) &&
      std::exchange(break_next_, false);
  if (breaks) return fail_all(Error{ErrorCode::kIo, "fsync failed"});
  for (; group_ > 0; --group_) {
    const Operation operation = std::move(operations_.front());
    operations_.pop_front();
    if (operation.read) {
      operation.read();
    } else {
      operation.done(apply(operation.writes));
    }
  }
  if (!operations_.empty()) begin();
}

void Disk::fail_all(const Status& status) {
  broken_ = true;
  group_ = 0;
  const std::uint64_t kept = random_.below(operations_.size() + 1);
  std::deque<Operation> failed;
  failed.swap(operations_);
  for (std::uint64_t i = 0; i < kept; ++i) {
    if (!failed[i].read) (void)apply(failed[i].writes);
  }
  for (const Operation& operation : failed) {
    if (operation.done) operation.done(status);
  }
}

void Disk::crash() {
  ++life_;
  const std::uint64_t kept = random_.below(operations_.size() + 1);
  for (std::uint64_t i = 0; i < kept; ++i) {
    if (!operations_[i].read) (void)apply(operations_[i].writes);
  }
  operations_.clear();
  group_ = 0;
  broken_ = false;
}

void Disk::commit(std::vector<StoreWrite> writes, std::function<void(Status)> done) {
  if (broken_) return done(Error{ErrorCode::kIo, "fsync failed before"});
  if (operations_.size() >= max_queued_) {
    return done(Error{ErrorCode::kExhausted, "too many commits wait"});
  }
  enqueue({.writes = std::move(writes), .done = std::move(done), .read = nullptr});
}

void Disk::load(std::string tenant, RequestId id, std::function<void(Result<StoredJob>)> done) {
  enqueue({.writes = {}, .done = nullptr, .read = [this, tenant, id, done = std::move(done)] {
             const auto found = rows_.find(id);
             if (found == rows_.end() ||
                 (!tenant.empty() && found->second.record.tenant != tenant)) {
               return done(no_such_job(id));
             }
             done(found->second);
           }});
}

void Disk::find_key(std::string tenant, std::string route, std::string key,
                    std::function<void(Result<KeyHolder>)> done) {
  enqueue({.writes = {},
           .done = nullptr,
           .read = [this, name = Key(tenant, route, key), done = std::move(done)] {
             const auto found = keys_.find(name);
             if (found == keys_.end()) return done(Error{ErrorCode::kNotFound, "no such key"});
             done(found->second);
           }});
}

void Disk::list(std::string, RequestId, std::uint32_t,
                std::function<void(Result<std::vector<JobSummary>>)> done) {
  done(std::vector<JobSummary>());
}

void Disk::load_waiting(std::function<void(Result<std::vector<WaitingJob>>)> done) {
  enqueue({.writes = {}, .done = nullptr, .read = [this, done = std::move(done)] {
             std::vector<WaitingJob> waiting;
             for (const auto& [id, row] : rows_) {
               if (is_terminal(row.state)) continue;
               waiting.push_back({.id = id,
                                  .tenant = row.record.tenant,
                                  .priority = row.record.priority,
                                  .kind = row.record.kind,
                                  .num_choices = row.record.num_choices,
                                  .expires_ms = row.record.expires_ms,
                                  .keep_without_client = row.record.keep_without_client});
             }
             done(std::move(waiting));
           }});
}

// All of it or nothing.
Status Disk::apply(const std::vector<StoreWrite>& writes) {
  const bool inserts = std::ranges::any_of(
      writes, [](const StoreWrite& write) { return std::holds_alternative<InsertJob>(write); });
  CHECK(!inserts || writes.size() == 1, "a job is inserted alone, so nothing is to be undone");
  if (inserts && full_) return Error{ErrorCode::kExhausted, "the disk is full"};
  for (const StoreWrite& write : writes) {
    LOCKSTEP_TRY(std::visit([this](const auto& one) { return apply_one(one); }, write), "commit");
  }
  return {};
}

Status Disk::apply_one(const InsertJob& write) {
  const JobRecord& job = write.job;
  if (!job.idempotency_key.empty()) {
    const Key key(job.tenant, job.route, job.idempotency_key);
    const KeyHolder holder{.id = job.id, .body_digest = job.body_digest};
    if (!keys_.try_emplace(key, holder).second) {
      return Error{ErrorCode::kAborted, "the key is taken"};
    }
  }
  StoredJob row{.record = job, .choices = {}, .state = JobState::kAccepted, .outcome = {}};
  row.choices.resize(job.num_choices);
  CHECK(rows_.try_emplace(job.id, std::move(row)).second, "an id was given twice");
  return {};
}

Status Disk::apply_one(const AppendTokens& write) {
  const auto found = rows_.find(write.key.request);
  if (found == rows_.end()) return no_such_job(write.key.request);
  ChoiceRecord& choice = found->second.choices.at(write.key.choice);
  if (is_terminal(found->second.state) || choice.end) return {};
  if (write.first > choice.tokens.size()) {
    return Error{ErrorCode::kInvalidArgument, "the tokens leave a gap"};
  }
  const std::size_t again = std::min(choice.tokens.size() - write.first, write.tokens.size());
  choice.tokens.insert(choice.tokens.end(),
                       write.tokens.begin() + static_cast<std::ptrdiff_t>(again),
                       write.tokens.end());
  return {};
}

Status Disk::apply_one(const EndChoice& write) {
  const auto found = rows_.find(write.key.request);
  if (found == rows_.end()) return no_such_job(write.key.request);
  ChoiceRecord& choice = found->second.choices.at(write.key.choice);
  if (!is_terminal(found->second.state) && !choice.end) choice.end = write.end;
  return {};
}

Status Disk::apply_one(const EndJob& write) {
  const auto found = rows_.find(write.id);
  if (found == rows_.end()) return no_such_job(write.id);
  if (is_terminal(found->second.state)) return {};
  found->second.state = write.outcome.state;
  found->second.outcome = write.outcome;
  return {};
}

template <typename Write>
Status Disk::apply_one(const Write&) {
  check_failed(__FILE__, __LINE__, "Disk::apply_one", "files and batches are not simulated");
}

}  // namespace lockstep::simulation
