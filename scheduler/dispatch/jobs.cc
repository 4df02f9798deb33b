// Jobs: accepted, queued, stored, ended.
#include <algorithm>
#include <utility>

#include "scheduler/dispatch/entries.h"

namespace lockstep {

Dispatcher::Dispatcher(const DispatcherConfig& config)
    : config_(config),
      queue_({.age_after = config.age_after_ms}),
      next_epoch_((config.gateway_epoch << 32) + 1) {}

Dispatcher::~Dispatcher() = default;

std::vector<Effect> Dispatcher::take_effects() { return std::exchange(effects_, {}); }

TenantId Dispatcher::tenant_of(const std::string& name) {
  return tenants_.try_emplace(name, TenantId{tenants_.size()}).first->second;
}

void Dispatcher::store(std::vector<StoreWrite> writes, Commit commit) {
  const std::uint64_t ticket = next_ticket_++;
  commits_.emplace_back(ticket, std::move(commit));
  emit(StoreEffect{.ticket = ticket, .writes = std::move(writes)});
}

Status Dispatcher::refusal(std::size_t num_jobs) const {
  if (draining_) return Error{ErrorCode::kUnavailable, "the gateway is shutting down"};
  if (jobs_.size() + num_jobs > config_.max_jobs) {
    return Error{ErrorCode::kExhausted, "too many jobs are waiting: try again later"};
  }
  return {};
}

// From its record or from what a restart knows of it.
template <typename Known>
std::unique_ptr<Dispatcher::Job> Dispatcher::new_job(Now now, const Known& known) {
  auto job = std::make_unique<Job>();
  job->id = known.id;
  job->tenant = tenant_of(known.tenant);
  job->priority = known.priority;
  job->kind = known.kind;
  job->keep_without_client = known.keep_without_client;
  job->expires_ms = known.expires_ms;
  job->choices.resize(known.num_choices);
  job->since_ms = now.mono_ms;
  job->arrival = ++next_arrival_;
  return job;
}

void Dispatcher::submit(Now now, JobRecord record) {
  std::vector<JobRecord> jobs;
  jobs.push_back(std::move(record));
  submit_all(now, std::move(jobs), {});
}

void Dispatcher::submit_all(Now now, std::vector<JobRecord> records, std::vector<StoreWrite> with) {
  const Status refused = refusal(records.size());
  std::vector<StoreWrite> writes;
  Commit commit{.kind = Commit::Kind::kInsert, .jobs = {}, .choices = {}};
  for (JobRecord& record : records) {
    const RequestId id = record.id;
    if (!refused.ok()) {
      emit(AcceptEffect{.id = id, .status = refused});
      continue;
    }
    CHECK(record.num_choices > 0 && !jobs_.contains(id),
          "a job needs choices and an id of its own");
    auto job = new_job(now, record);
    job->state = Job::State::kStoring;
    job->record = std::make_shared<const JobRecord>(std::move(record));
    writes.emplace_back(InsertJob{*job->record});
    commit.jobs.push_back(id);
    jobs_.emplace(id, std::move(job));
  }
  if (!refused.ok() || writes.empty()) return;
  writes.insert(writes.end(), std::make_move_iterator(with.begin()),
                std::make_move_iterator(with.end()));
  store(std::move(writes), std::move(commit));
}

void Dispatcher::recover(Now now, const std::vector<WaitingJob>& waiting) {
  CHECK(jobs_.empty(), "recover() comes first");
  for (const WaitingJob& known : waiting) {
    auto job = new_job(now, known);
    // Nobody is connected now; a client has the usual time to come back.
    if (known.kind == JobKind::kRequest && !known.keep_without_client) {
      job->left_ms = now.mono_ms;
      left_.insert(known.id);
    }
    if (known.expires_ms > 0) expiring_.emplace(known.expires_ms, known.id);
    Job& entry = *jobs_.emplace(known.id, std::move(job)).first->second;
    for (std::uint32_t choice = 0; choice < known.num_choices; ++choice) enqueue(entry, choice);
  }
}

void Dispatcher::enqueue(Job& job, std::uint32_t choice) {
  Choice& entry = job.choices[choice];
  entry.state = Choice::State::kQueued;
  entry.item = next_item_++;
  queued_.emplace(entry.item, ChoiceKey{job.id, choice});
  queue_.push({.id = entry.item,
               .priority = job.priority,
               .tenant = job.tenant,
               .arrival = job.arrival,
               .since = job.since_ms});
}

void Dispatcher::dequeue(Choice& choice) {
  queue_.remove(choice.item);
  queued_.erase(choice.item);
  choice.state = Choice::State::kIdle;
}

void Dispatcher::loaded(Now now, RequestId id, Result<StoredJob> result) {
  const auto found = jobs_.find(id);
  if (found == jobs_.end() || !found->second->loading) return;
  Job& job = *found->second;
  job.loading = false;
  --num_loading_;
  if (job.state != Job::State::kOpen) return;
  if (!result.ok() || result.value().choices.size() != job.choices.size()) {
    const std::string why = result.ok() ? "choices are missing" : result.error().message;
    return end_job(now, job, {.state = JobState::kFailed, .error = "stored job: " + why});
  }
  StoredJob stored = std::move(result).value();
  job.record = std::make_shared<const JobRecord>(std::move(stored.record));
  if (job.record->model_id != config_.model_id ||
      job.record->numerics_version != config_.numerics_version) {
    return end_job(now, job,
                   {.state = JobState::kFailed,
                    .error = "accepted for model " + job.record->model_id.hex() +
                             ", which is no longer served"});
  }
  for (std::uint32_t i = 0; i < job.choices.size(); ++i) {
    Choice& choice = job.choices[i];
    choice.tokens = std::move(stored.choices[i].tokens);
    choice.given = choice.tokens.size();
    if (stored.choices[i].end) {
      dequeue(choice);
      choice.end = stored.choices[i].end;
      choice.state = Choice::State::kEnded;
    } else {
      queue_.release(choice.item);
    }
  }
  assign_all(now);
}

void Dispatcher::stored(Now now, std::uint64_t ticket, const Status& status) {
  // In order, but for those that were refused at once.
  const auto found = std::ranges::find(commits_, ticket, &std::pair<std::uint64_t, Commit>::first);
  CHECK(found != commits_.end(), "the store answered what it was not asked");
  const Commit commit = std::move(found->second);
  commits_.erase(found);
  if (!status.ok() && status.error().code == ErrorCode::kIo) {
    // What the disk has promised may be gone: only the journal knows, so start from it.
    stopped_ = true;
    return emit(StopEffect{.status = status});
  }
  switch (commit.kind) {
    case Commit::Kind::kInsert:
      for (const RequestId& id : commit.jobs) inserted(now, id, status);
      return;
    case Commit::Kind::kTokens:
      if (!status.ok()) retry_tokens(now, commit.choices);
      return;
    case Commit::Kind::kEnd:
      return ended(now, commit.jobs.front(), status);
  }
}

void Dispatcher::inserted(Now now, RequestId id, const Status& status) {
  Job& job = *jobs_.at(id);
  emit(AcceptEffect{.id = id, .status = status});
  if (!status.ok()) return forget(id);
  ++counts_.accepted;
  counts_.prompt_tokens += job.record->prompt.size();
  job.state = Job::State::kOpen;
  if (job.expires_ms > 0) expiring_.emplace(job.expires_ms, id);
  if (job.cancelled) return end_job(now, job, {.state = JobState::kCancelled, .error = {}});
  for (std::uint32_t i = 0; i < job.choices.size(); ++i) enqueue(job, i);
  assign_all(now);
  // A long queue waits on disk: only what comes next is held with its prompt.
  const bool waits = std::ranges::any_of(
      job.choices, [](const Choice& c) { return c.state == Choice::State::kQueued; });
  const bool untouched =
      std::ranges::all_of(job.choices, [](const Choice& c) { return c.attempt == 0; });
  if (waits && untouched && queued_.size() > config_.max_loaded && job.watchers == 0) {
    job.record = nullptr;
  }
}

void Dispatcher::retry_tokens(Now now, const std::vector<ChoiceKey>& choices) {
  for (const ChoiceKey& key : choices) {
    const auto found = jobs_.find(key.request);
    if (found == jobs_.end()) continue;
    Choice& choice = found->second->choices[key.choice];
    choice.given = 0;  // What is there already is left as it is.
    choice.dirty_ms = now.mono_ms + config_.retry_store_ms;
    if (choice.dirty()) dirty_.insert(key.request);
  }
}

void Dispatcher::ended(Now now, RequestId id, const Status& status) {
  Job& job = *jobs_.at(id);
  if (!status.ok()) {  // The disk is full: it stays open until there is room.
    job.retry_ms = now.mono_ms + config_.retry_store_ms;
    for (Choice& choice : job.choices) choice.given = 0;
    ending_.insert(id);
    return;
  }
  switch (job.outcome.state) {
    case JobState::kDone:
      ++counts_.done;
      break;
    case JobState::kFailed:
      ++counts_.failed;
      break;
    case JobState::kExpired:
      ++counts_.expired;
      break;
    default:
      ++counts_.cancelled;
  }
  emit(EndEffect{.id = id, .outcome = job.outcome});
  forget(id);
}

void Dispatcher::forget(RequestId id) {
  const Job& job = *jobs_.at(id);
  if (job.loading) --num_loading_;
  expiring_.erase({job.expires_ms, id});
  left_.erase(id);
  dirty_.erase(id);
  jobs_.erase(id);
}

void Dispatcher::finish_choice(Now now, Job& job, std::uint32_t index, const ChoiceEnd& end) {
  Choice& choice = job.choices[index];
  choice.state = Choice::State::kEnded;
  choice.end = end;
  emit(ChoiceEndEffect{.key = {job.id, index}, .end = end});
  if (!end.status.ok()) {
    return end_job(now, job, {.state = JobState::kFailed, .error = end.status.error().message});
  }
  const bool all = std::ranges::all_of(
      job.choices, [](const Choice& c) { return c.state == Choice::State::kEnded; });
  if (all) return end_job(now, job, {.state = JobState::kDone, .error = {}});
  std::vector<StoreWrite> writes;
  append_tokens(job, index, writes);
  writes.emplace_back(EndChoice{.key = {job.id, index}, .end = end});
  store(std::move(writes),
        {.kind = Commit::Kind::kTokens, .jobs = {}, .choices = {{job.id, index}}});
}

void Dispatcher::end_job(Now now, Job& job, JobOutcome outcome) {
  if (job.state == Job::State::kEnding) return;
  for (std::uint32_t i = 0; i < job.choices.size(); ++i) {
    Choice& choice = job.choices[i];
    if (choice.state == Choice::State::kQueued) dequeue(choice);
    if (choice.state == Choice::State::kAssigned) recall({job.id, i});
  }
  job.state = Job::State::kEnding;
  job.outcome = std::move(outcome);
  job.outcome.ended_ms = now.unix_ms;
  store_end(job);
  assign_all(now);
}

void Dispatcher::store_end(Job& job) {
  std::vector<StoreWrite> writes;
  for (std::uint32_t i = 0; i < job.choices.size(); ++i) {
    append_tokens(job, i, writes);
    if (job.choices[i].end) writes.emplace_back(EndChoice{{job.id, i}, *job.choices[i].end});
  }
  dirty_.erase(job.id);
  job.retry_ms = 0;
  writes.emplace_back(EndJob{.id = job.id, .outcome = job.outcome});
  store(std::move(writes), {.kind = Commit::Kind::kEnd, .jobs = {job.id}, .choices = {}});
}

void Dispatcher::append_tokens(Job& job, std::uint32_t index, std::vector<StoreWrite>& writes) {
  Choice& choice = job.choices[index];
  if (!choice.dirty()) return;
  const auto begin = choice.tokens.begin() + static_cast<std::ptrdiff_t>(choice.given);
  writes.emplace_back(AppendTokens{.key = {job.id, index},
                                   .first = static_cast<std::uint32_t>(choice.given),
                                   .tokens = {begin, choice.tokens.end()}});
  choice.given = choice.tokens.size();
}

// One commit for all choices that are due; all of them, when the caller says so.
void Dispatcher::checkpoint(Now now, bool all) {
  std::vector<StoreWrite> writes;
  Commit commit;
  for (auto it = dirty_.begin(); it != dirty_.end();) {
    Job& job = *jobs_.at(*it);
    bool rest = false;
    for (std::uint32_t i = 0; i < job.choices.size(); ++i) {
      Choice& choice = job.choices[i];
      if (!choice.dirty()) continue;
      const bool due = now.mono_ms - choice.dirty_ms >= config_.checkpoint_ms ||
                       (now.mono_ms >= choice.dirty_ms &&
                        choice.tokens.size() - choice.given >= config_.checkpoint_tokens);
      if (!due && !all) {
        rest = true;
        continue;
      }
      append_tokens(job, i, writes);
      commit.choices.push_back({job.id, i});
    }
    it = rest ? std::next(it) : dirty_.erase(it);
  }
  if (writes.empty()) return;
  ++counts_.checkpoints;
  store(std::move(writes), std::move(commit));
}

void Dispatcher::cancel(Now now, RequestId id) {
  const auto found = jobs_.find(id);
  if (found == jobs_.end()) return;
  Job& job = *found->second;
  if (job.state == Job::State::kStoring) {
    job.cancelled = true;
  } else {
    end_job(now, job, {.state = JobState::kCancelled, .error = {}});
  }
}

void Dispatcher::watch(Now now, RequestId id, int change) {
  const auto found = jobs_.find(id);
  if (found == jobs_.end()) return;
  Job& job = *found->second;
  job.watchers += change;
  CHECK(job.watchers >= 0, "more clients left than came");
  const bool leaves =
      job.watchers == 0 && job.kind == JobKind::kRequest && !job.keep_without_client;
  job.left_ms = leaves ? now.mono_ms : 0;
  if (leaves) {
    left_.insert(id);
  } else {
    left_.erase(id);
  }
}

// Deadlines of jobs, clients that did not come back, terminal rows that did not fit on the disk.
void Dispatcher::watch_jobs(Now now) {
  std::vector<std::pair<RequestId, JobState>> over;
  const std::int64_t pause_ms = own_pause_ms(now);
  for (const RequestId& id : left_) {
    Job& job = *jobs_.at(id);
    job.left_ms += pause_ms;
    if (now.mono_ms - job.left_ms >= config_.client_grace_ms) {
      over.emplace_back(id, JobState::kCancelled);
    }
  }
  while (!expiring_.empty() && expiring_.begin()->first <= now.unix_ms) {
    over.emplace_back(expiring_.begin()->second, JobState::kExpired);
    expiring_.erase(expiring_.begin());
  }
  for (const auto& [id, state] : over) {
    left_.erase(id);
    const auto found = jobs_.find(id);
    if (found == jobs_.end()) continue;
    if (found->second->state == Job::State::kStoring) {
      found->second->cancelled = true;
    } else {
      end_job(now, *found->second, {.state = state, .error = {}});
    }
  }
  for (auto it = ending_.begin(); it != ending_.end();) {
    const auto found = jobs_.find(*it);
    CHECK(found != jobs_.end(), "an ending job is gone");
    const bool due = found->second->retry_ms <= now.mono_ms;
    if (due) store_end(*found->second);
    it = due ? ending_.erase(it) : std::next(it);
  }
}

std::size_t Dispatcher::num_queued() const { return queued_.size(); }

std::optional<Dispatcher::JobView> Dispatcher::find(RequestId id) const {
  const auto found = jobs_.find(id);
  if (found == jobs_.end()) return std::nullopt;
  JobView view{.record = found->second->record, .choices = {}};
  for (const Choice& choice : found->second->choices) {
    view.choices.push_back({.tokens = choice.tokens, .end = choice.end});
  }
  return view;
}

bool Dispatcher::holds(const std::string& tenant, RequestId id) const {
  const auto job = jobs_.find(id);
  const auto name = tenants_.find(tenant);
  return job != jobs_.end() && name != tenants_.end() && job->second->tenant == name->second;
}

}  // namespace lockstep
