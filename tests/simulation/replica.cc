#include "tests/simulation/replica.h"

#include <algorithm>
#include <utility>

#include "tests/simulation/fake_model.h"

namespace lockstep::simulation {

Replica::Replica(const ReplicaConfig& config, Ports ports)
    : config_(config),
      ports_(std::move(ports)),
      link_({.hello = config.hello,
             .patience_ms = config.patience_ms,
             .hello_ms = config.hello_ms,
             .max_queued = 256},
            now_ms()),
      engine_(config.scheduler) {}

// A process that is stopped does it when it goes on; one that is dead does not.
void Replica::later(std::int64_t delay_us, std::function<void()> action) {
  ports_.queue->after(delay_us, [this, action = std::move(action)] {
    if (!alive_) return;
    if (stopped()) return later(stopped_until_us_ - ports_.queue->now_us(), action);
    action();
  });
}

void Replica::stop(std::int64_t until_us) {
  stopped_until_us_ = std::max(stopped_until_us_, until_us);
}

void Replica::receive(ToReplica message) {
  if (!alive_) return;
  if (stopped()) {
    ports_.queue->at(stopped_until_us_, [this, message = std::move(message)] { receive(message); });
    return;
  }
  link_.receive(now_ms(), std::move(message));
  speak();
  if (step_began_ms_ < 0) begin_step();
}

// The link's timer: its beats, its hellos and its lease.
void Replica::wake(std::int64_t due_ms) {
  if (due_ms != wakes_ms_) return;  // Another one was set meanwhile.
  wakes_ms_ = -1;
  if (link_.lost(now_ms())) {
    alive_ = false;
    return ports_.exited();
  }
  speak();
}

void Replica::speak() {
  while (auto message = link_.next_message(now_ms(), [this] { return beat(); })) {
    ports_.send(std::move(*message));
    link_.sent();
  }
  const std::int64_t due_ms = std::min(link_.next_word_ms(), link_.lease_ends_ms());
  if (wakes_ms_ >= 0 && wakes_ms_ <= due_ms) return;
  wakes_ms_ = due_ms;
  later(std::max<std::int64_t>(due_ms * 1000 - ports_.queue->now_us(), 0),
        [this, due_ms] { wake(due_ms); });
}

BeatMessage Replica::beat() {
  BeatMessage beat = engine_.beat();
  if (step_began_ms_ >= 0) beat.step_age_ms = static_cast<std::uint32_t>(now_ms() - step_began_ms_);
  return beat;
}

void Replica::take_orders() {
  for (const ToReplica& order : link_.take_orders()) obey(order);
}

void Replica::obey(const ToReplica& order) {
  if (std::holds_alternative<WelcomeMessage>(order.body)) {
    running_.clear();
    by_key_.clear();
    epoch_ = order.epoch;
    return engine_.begin_generation(epoch_);
  }
  if (std::holds_alternative<DrainMessage>(order.body)) {
    draining_ = true;
    return;
  }
  if (order.epoch != epoch_) return;
  if (const auto* assigned = std::get_if<AssignMessage>(&order.body)) return assign(*assigned);
  if (const auto* cancelled = std::get_if<CancelMessage>(&order.body)) {
    const auto found = by_key_.find(cancelled->key);
    if (found != by_key_.end() && running_.at(found->second).attempt == cancelled->attempt) {
      drop(found->second);
    }
  }
}

void Replica::assign(const AssignMessage& order) {
  const auto delivered = static_cast<std::uint32_t>(order.delivered.size());
  const bool full = running_.size() >= config_.hello.max_sequences;
  const bool complete = delivered >= order.sampling.max_completion_tokens ||
                        (delivered > 0 && is_end(order.delivered.back().token));
  Result<SequenceId> id = SequenceId{};
  if (draining_) {
    id = Error{ErrorCode::kUnavailable, "the replica drains"};
  } else if (full) {
    id = Error{ErrorCode::kUnavailable, "the replica has no room for another sequence"};
  } else if (by_key_.contains(order.key)) {
    id = Error{ErrorCode::kInternal, "the choice runs here already"};
  } else if (!complete) {
    id = engine_.add(order);
    if (id.ok()) {
      running_.emplace(id.value(), Running{order.key, order.attempt, delivered});
      by_key_[order.key] = id.value();
      return;
    }
  }
  ChoiceEnd end;
  end.num_tokens = delivered;
  if (!id.ok()) {
    end.status = id.error();
  } else if (is_end(order.delivered.back().token)) {
    end.reason = FinishReason::kStop;
  }
  ProgressMessage message;
  message.choices.push_back({.key = order.key,
                             .attempt = order.attempt,
                             .first = delivered,
                             .tokens = {},
                             .end = std::move(end)});
  report(std::move(message));
}

void Replica::drop(SequenceId id) {
  const auto found = running_.find(id);
  by_key_.erase(found->second.key);
  running_.erase(found);
  engine_.cancel(id);
}

void Replica::drop_all() {
  while (!running_.empty()) drop(running_.begin()->first);
}

void Replica::retire() {
  retires_ = true;
  later(0, [this] {
    if (step_began_ms_ < 0) begin_step();
  });
}

// True: it has left.
bool Replica::leave() {
  if (!retires_ && !(draining_ && engine_.idle())) return false;
  drop_all();
  (void)link_.say(epoch_, DrainedMessage{});
  speak();
  alive_ = false;
  ports_.exited();
  return true;
}

void Replica::begin_step() {
  take_orders();
  if (leave()) return;
  const std::optional<int> tokens = engine_.begin_step(*ports_.trace);
  if (!tokens) return;
  step_began_ms_ = now_ms();
  if (hangs_) return;
  later(config_.step_us + *tokens * config_.step_token_us, [this] { end_step(); });
}

void Replica::end_step() {
  if (hangs_) return;
  step_began_ms_ = -1;
  ProgressMessage message;
  auto events = engine_.end_step();
  if (!events) {
    alive_ = false;
    return ports_.exited();
  }
  for (Engine::Event& event : *events) {
    const auto found = running_.find(event.sequence);
    if (found == running_.end()) continue;
    Running& running = found->second;
    ChoiceProgress progress{.key = running.key,
                            .attempt = running.attempt,
                            .first = running.sent++,
                            .tokens = {},
                            .end = std::move(event.end)};
    progress.tokens.push_back({.token = event.token, .logits_digest = {}, .logprob = 0, .top = {}});
    if (progress.end) {
      by_key_.erase(running.key);
      running_.erase(found);
    }
    message.choices.push_back(std::move(progress));
  }
  if (!message.choices.empty()) report(std::move(message));
  begin_step();
}

void Replica::report(ProgressMessage message) {
  if (!link_.say(epoch_, std::move(message))) drop_all();
  speak();
}

}  // namespace lockstep::simulation
