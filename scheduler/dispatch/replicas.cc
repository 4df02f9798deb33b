// Replicas: what they are given, what they say, and what follows when they fail.
#include <algorithm>
#include <utility>

#include "scheduler/dispatch/entries.h"

namespace lockstep {

namespace {

// Whether the error is the replica's, so that another may succeed, or the request's.
bool is_replicas_fault(const Status& status) {
  switch (status.error().code) {
    case ErrorCode::kUnavailable:
    case ErrorCode::kTimeout:
    case ErrorCode::kAborted:
    case ErrorCode::kInternal:
    case ErrorCode::kIo:
      return true;
    default:
      return false;
  }
}

// A replica is worth going to for its cache until it has this many choices more than another.
constexpr std::size_t kAffinitySlack = 4;

}  // namespace

void Dispatcher::assign_all(Now now) {
  if (draining_ || stopped_) return;
  while (assign_next(now)) {
  }
}

bool Dispatcher::assign_next(Now now) {
  const auto next = queue_.peek(now.mono_ms);
  if (!next) return false;
  const ChoiceKey key = queued_.at(next->id);
  Job& job = *jobs_.at(key.request);
  Replica* replica = choose_replica(job);
  if (replica == nullptr && !make_room(job.priority, next->lane)) return false;
  if (replica == nullptr) replica = choose_replica(job);
  if (replica == nullptr) return false;
  // What is being loaded came first: a place is kept for it.
  std::size_t credits = 0;
  for (const auto& [id, one] : replicas_) {
    if (one->state == ReplicaState::kReady) credits += one->free_credits();
  }
  if (num_loading_ >= credits) return false;
  if (job.record != nullptr) {
    dequeue(job.choices[key.choice]);
    job.choices[key.choice].lane = next->lane;
    assign(job, key.choice, *replica);
    return true;
  }
  for (Choice& choice : job.choices) {
    if (choice.state == Choice::State::kQueued) queue_.hold(choice.item);
  }
  job.loading = true;
  ++num_loading_;
  emit(LoadEffect{job.id});
  return true;
}

// The least loaded replica with room; one that knows the beginning of the prompt, if it has not
// much more to do.
Dispatcher::Replica* Dispatcher::choose_replica(const Job& job) {
  Replica* best = nullptr;
  for (const auto& [id, replica] : replicas_) {
    if (replica->state != ReplicaState::kReady || replica->free_credits() == 0) continue;
    if (best == nullptr || replica->assigned.size() < best->assigned.size()) best = replica.get();
  }
  if (best == nullptr || job.record == nullptr) return best;
  const auto known = affinity_.find(job.record->tenant, job.record->prompt);
  const auto found = known ? replicas_.find(*known) : replicas_.end();
  if (found == replicas_.end()) return best;
  Replica& favourite = *found->second;
  const bool worth_it = favourite.state == ReplicaState::kReady && favourite.free_credits() > 0 &&
                        favourite.assigned.size() <= best->assigned.size() + kAffinitySlack;
  return worth_it ? &favourite : best;
}

void Dispatcher::assign(Job& job, std::uint32_t index, Replica& replica) {
  Choice& choice = job.choices[index];
  const JobRecord& record = *job.record;
  if (choice.attempt == 0 && choice.tokens.empty()) {
    queue_.charge(choice.lane, job.tenant, record.prompt.size(), 0);
  }
  choice.state = Choice::State::kAssigned;
  choice.replica = replica.id;
  ++choice.attempt;
  replica.assigned.insert({job.id, index});
  affinity_.remember(record.tenant, record.prompt, replica.id);
  AssignMessage message{.key = {job.id, index},
                        .attempt = choice.attempt,
                        .priority = static_cast<std::uint8_t>(record.priority),
                        .tenant = record.tenant,
                        .prompt = record.prompt,
                        .sampling = record.sampling,
                        .num_top_logprobs = record.num_top_logprobs,
                        .delivered = choice.tokens};
  message.sampling.choice_index = index;
  send(replica, std::move(message));
}

void Dispatcher::send(Replica& replica, ReplicaOrder body) {
  emit(SendEffect{
      .replica = replica.id,
      .message = {.epoch = replica.epoch, .sequence = replica.sent++, .body = std::move(body)}});
}

// Takes a choice from its replica; the replica frees what it holds within a step.
void Dispatcher::recall(ChoiceKey key) {
  Choice& choice = jobs_.at(key.request)->choices[key.choice];
  Replica& replica = *replicas_.at(choice.replica);
  send(replica, CancelMessage{key, choice.attempt});
  replica.assigned.erase(key);
  choice.state = Choice::State::kIdle;
}

// Takes back the latest choice of the lowest class below `priority`, unless it has risen to `lane`
// by waiting. False if there is none.
bool Dispatcher::make_room(PriorityClass priority, PriorityClass lane) {
  const Job* victim = nullptr;
  ChoiceKey key;
  for (const auto& [id, replica] : replicas_) {
    if (replica->state != ReplicaState::kReady) continue;
    for (const ChoiceKey& candidate : replica->assigned) {
      const Job& job = *jobs_.at(candidate.request);
      if (job.priority <= priority || job.choices[candidate.choice].lane <= lane) continue;
      if (victim != nullptr &&
          std::pair(job.priority, job.arrival) < std::pair(victim->priority, victim->arrival)) {
        continue;
      }
      victim = &job;
      key = candidate;
    }
  }
  if (victim == nullptr) return false;
  recall(key);
  ++counts_.recalled;
  enqueue(*jobs_.at(key.request), key.choice);
  return true;
}

// `was_lost`: that may be the doing of what ran there.
void Dispatcher::take_back(Now now, Replica& replica, bool was_lost) {
  const std::set<ChoiceKey> assigned = std::exchange(replica.assigned, {});
  for (const ChoiceKey& key : assigned) {
    Job& job = *jobs_.at(key.request);
    Choice& choice = job.choices[key.choice];
    if (choice.state != Choice::State::kAssigned) continue;  // Its job ended on the way.
    choice.state = Choice::State::kIdle;
    ++counts_.requeued;
    if (was_lost && ++choice.losses >= config_.max_attempts) {
      finish_choice(
          now, job, key.choice,
          {.status = Error{ErrorCode::kUnavailable,
                           "lost its replica " + std::to_string(choice.losses) + " times"},
           .num_tokens = static_cast<std::uint32_t>(choice.tokens.size())});
      continue;
    }
    if (!choice.tokens.empty()) ++counts_.moved;
    enqueue(job, key.choice);
  }
}

void Dispatcher::fence(Now now, Replica& replica, const std::string& reason) {
  ++counts_.fenced;
  emit(FenceEffect{.replica = replica.id, .epoch = replica.epoch, .reason = reason});
  replica.state = ReplicaState::kAbsent;
  replica.epoch = 0;
  take_back(now, replica, true);
  assign_all(now);
}

void Dispatcher::replica_lost(Now now, ReplicaId id, const std::string& reason) {
  const auto found = replicas_.find(id);
  if (found == replicas_.end() || found->second->state == ReplicaState::kAbsent) {
    // It died before it said hello.
    return emit(FenceEffect{.replica = id, .epoch = 0, .reason = reason});
  }
  fence(now, *found->second, reason);
}

void Dispatcher::message(Now now, ReplicaId id, const ToGateway& message) {
  if (stopped_) return;
  auto& entry = replicas_[id];
  if (entry == nullptr) {
    entry = std::make_unique<Replica>();
    entry->id = id;
  }
  Replica& replica = *entry;
  if (const auto* greeting = std::get_if<HelloMessage>(&message.body)) {
    return hello(now, replica, *greeting);
  }
  if (replica.state == ReplicaState::kAbsent || message.epoch != replica.epoch) {
    ++counts_.stale;
    // It did not hear its last welcome, perhaps.
    const bool deaf = replica.state == ReplicaState::kReady && replica.received == 0 &&
                      now.mono_ms - replica.welcomed_ms >= config_.beat_ms;
    if (deaf) welcome(now, replica);
    return;
  }
  if (message.sequence <= replica.received) {
    ++counts_.stale;
    return;
  }
  replica.heard_ms = now.mono_ms;
  if (message.sequence != replica.received + 1) return welcome(now, replica);
  ++replica.received;
  Status status;
  if (const auto* state = std::get_if<BeatMessage>(&message.body)) {
    status = beat(replica, *state);
  } else if (const auto* progressed = std::get_if<ProgressMessage>(&message.body)) {
    for (const ChoiceProgress& choice : progressed->choices) {
      status = progress(now, replica, choice);
      if (!status.ok()) break;
    }
  } else {
    status = Error{ErrorCode::kUnavailable, "drained"};
  }
  if (!status.ok()) return fence(now, replica, status.error().message);
  assign_all(now);
}

void Dispatcher::hello(Now now, Replica& replica, const HelloMessage& message) {
  if (message.model_id != config_.model_id) {
    return fence(now, replica, "serves another model: " + message.model_id.hex());
  }
  if (message.numerics_version != config_.numerics_version || message.max_sequences == 0) {
    return fence(now, replica,
                 "cannot compute what was accepted: numerics version " +
                     std::to_string(message.numerics_version));
  }
  if (draining_) return;
  replica.state = ReplicaState::kReady;
  replica.hello = message;
  replica.beat = {};
  replica.heard_ms = now.mono_ms;
  welcome(now, replica);
}

// The next generation of the same processes: what they ran before they drop when they hear of it.
void Dispatcher::welcome(Now now, Replica& replica) {
  const bool had_begun = replica.received > 0;
  replica.epoch = next_epoch_++;
  replica.sent = replica.received = 0;
  replica.welcomed_ms = replica.leased_ms = now.mono_ms;
  send(replica, WelcomeMessage{.epoch = replica.epoch,
                               .lease_ms = static_cast<std::uint32_t>(config_.lease_ms),
                               .beat_ms = static_cast<std::uint32_t>(config_.beat_ms)});
  take_back(now, replica, had_begun);
  assign_all(now);
}

Status Dispatcher::beat(Replica& replica, const BeatMessage& message) {
  replica.beat = message;
  if (message.step_age_ms > config_.step_deadline_ms) {
    return Error{ErrorCode::kTimeout,
                 "a step has been running for " + std::to_string(message.step_age_ms) + " ms"};
  }
  if (message.stalled_ms > config_.stall_ms) {
    return Error{ErrorCode::kTimeout, "nobody has been working on a step for " +
                                          std::to_string(message.stalled_ms) + " ms"};
  }
  if (message.oldest_rank_beat_ms > config_.beat_timeout_ms) {
    return Error{ErrorCode::kTimeout, "a rank has been silent for " +
                                          std::to_string(message.oldest_rank_beat_ms) + " ms"};
  }
  return {};
}

// An error is the replica's: it says what cannot be.
Status Dispatcher::progress(Now now, Replica& replica, const ChoiceProgress& message) {
  const auto found = jobs_.find(message.key.request);
  const bool known = found != jobs_.end() && message.key.choice < found->second->choices.size() &&
                     replica.assigned.contains(message.key) &&
                     found->second->choices[message.key.choice].attempt == message.attempt;
  if (!known) {  // Cancelled, or taken back, while this was on its way.
    ++counts_.stale;
    return {};
  }
  Job& job = *found->second;
  LOCKSTEP_TRY(take_tokens(now, job, message), "progress of " + message.key.request.text());
  if (!message.end) return {};
  Choice& choice = job.choices[message.key.choice];
  if (!message.end->status.ok() && is_replicas_fault(message.end->status)) {
    choice.state = Choice::State::kIdle;
    replica.assigned.erase(message.key);
    if (++choice.losses >= config_.max_attempts) {
      finish_choice(now, job, message.key.choice, *message.end);
      return {};
    }
    ++counts_.requeued;
    enqueue(job, message.key.choice);
    return {};
  }
  if (message.end->num_tokens != choice.tokens.size()) {
    return Error{ErrorCode::kInternal, "ended behind " + std::to_string(message.end->num_tokens) +
                                           " tokens and sent " +
                                           std::to_string(choice.tokens.size())};
  }
  replica.assigned.erase(message.key);
  finish_choice(now, job, message.key.choice, *message.end);
  return {};
}

Status Dispatcher::take_tokens(Now now, Job& job, const ChoiceProgress& message) {
  Choice& choice = job.choices[message.key.choice];
  const std::size_t had = choice.tokens.size();
  if (message.first > had) return Error{ErrorCode::kInternal, "tokens are missing"};
  if (message.first + message.tokens.size() > job.record->sampling.max_completion_tokens) {
    return Error{ErrorCode::kInternal, "more tokens than were asked for"};
  }
  const std::size_t again = std::min(had - message.first, message.tokens.size());
  if (!std::equal(message.tokens.begin(),
                  message.tokens.begin() + static_cast<std::ptrdiff_t>(again),
                  choice.tokens.begin() + static_cast<std::ptrdiff_t>(message.first))) {
    return Error{ErrorCode::kCorrupt, "another answer than before"};
  }
  if (again == message.tokens.size()) return {};
  if (!choice.dirty()) choice.dirty_ms = now.mono_ms;
  choice.tokens.insert(choice.tokens.end(),
                       message.tokens.begin() + static_cast<std::ptrdiff_t>(again),
                       message.tokens.end());
  const std::size_t added = choice.tokens.size() - had;
  counts_.completion_tokens += added;
  queue_.charge(choice.lane, job.tenant, 0, added);
  dirty_.insert(job.id);
  emit(TokensEffect{
      .key = message.key,
      .first = static_cast<std::uint32_t>(had),
      .tokens = {choice.tokens.begin() + static_cast<std::ptrdiff_t>(had), choice.tokens.end()}});
  return {};
}

// How long nobody ticked, when that was so long that what others said meanwhile may wait unheard:
// our own pause condemns nobody.
std::int64_t Dispatcher::own_pause_ms(Now now) const {
  const std::int64_t gap = now.mono_ms - last_tick_ms_;
  return last_tick_ms_ != 0 && gap > config_.beat_timeout_ms / 4 ? gap : 0;
}

void Dispatcher::watch_replicas(Now now) {
  const std::int64_t pause_ms = own_pause_ms(now);
  for (auto& [id, replica] : replicas_) {
    if (replica->state == ReplicaState::kAbsent) continue;
    replica->heard_ms += pause_ms;
    if (now.mono_ms - replica->heard_ms > config_.beat_timeout_ms) {
      fence(now, *replica, "silent for " + std::to_string(now.mono_ms - replica->heard_ms) + " ms");
      continue;
    }
    if (now.mono_ms - replica->leased_ms >= config_.beat_ms) {
      replica->leased_ms = now.mono_ms;
      send(*replica, LeaseMessage{++replica->lease});
    }
  }
}

void Dispatcher::tick(Now now) {
  if (stopped_) return;
  watch_replicas(now);
  watch_jobs(now);
  checkpoint(now, false);
  assign_all(now);
  check_drained(now);
  last_tick_ms_ = now.mono_ms;
}

void Dispatcher::drain(Now now, std::int64_t patience_ms) {
  if (draining_) return;
  draining_ = true;
  drain_until_ms_ = now.mono_ms + patience_ms;
  check_drained(now);
}

void Dispatcher::check_drained(Now now) {
  if (!draining_ || stopped_) return;
  if (num_running() > 0 && now.mono_ms < drain_until_ms_) return;
  for (auto& [id, replica] : replicas_) {
    const std::set<ChoiceKey> assigned = replica->assigned;
    for (const ChoiceKey& key : assigned) recall(key);
  }
  checkpoint(now, true);
  if (!commits_.empty()) return;  // stored() is followed by another tick.
  stopped_ = true;
  for (auto& [id, replica] : replicas_) {
    if (replica->state != ReplicaState::kReady) continue;
    send(*replica, DrainMessage{});
  }
  emit(StopEffect{});
}

std::size_t Dispatcher::num_running() const {
  std::size_t count = 0;
  for (const auto& [id, replica] : replicas_) count += replica->assigned.size();
  return count;
}

bool Dispatcher::any_ready() const {
  return std::ranges::any_of(
      replicas_, [](const auto& entry) { return entry.second->state == ReplicaState::kReady; });
}

std::optional<Dispatcher::ReplicaView> Dispatcher::replica(ReplicaId id) const {
  const auto found = replicas_.find(id);
  if (found == replicas_.end()) return std::nullopt;
  const Replica& known = *found->second;
  return ReplicaView{.id = id,
                     .state = known.state,
                     .epoch = known.epoch,
                     .assigned = static_cast<std::uint32_t>(known.assigned.size()),
                     .last_heard_ms = known.heard_ms,
                     .hello = known.hello,
                     .beat = known.beat};
}

}  // namespace lockstep
