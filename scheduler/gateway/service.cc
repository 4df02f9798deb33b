#include "scheduler/gateway/service.h"

#include <algorithm>
#include <utility>

#include "base/crash_point.h"

namespace lockstep {

namespace {

Error not_found(RequestId id) { return {ErrorCode::kNotFound, "no request " + id.text()}; }

template <typename Write>
bool has(const StoreEffect& effect) {
  return std::ranges::any_of(effect.writes,
                             [](const auto& one) { return std::holds_alternative<Write>(one); });
}

}  // namespace

GatewayService::GatewayService(const DispatcherConfig& config, ServicePorts ports, Random& random)
    : dispatcher_(config),
      ports_(std::move(ports)),
      ids_(random),
      model_id_(config.model_id),
      numerics_version_(config.numerics_version) {}

void GatewayService::recover(std::function<void(Status)> ready) {
  ports_.store->load_waiting([this, ready = std::move(ready)](auto result) {
    ports_.post([this, ready, result = std::move(result)] {
      if (!result.ok()) return ready(result.error());
      CRASH_POINT("gateway.recover");
      dispatcher_.recover(ports_.now(), result.value());
      run_effects();
      ready({});
    });
  });
}

void GatewayService::submit(JobRecord job, std::function<void(Result<Accepted>)> done) {
  const Now now = ports_.now();
  job.id = ids_.next(now.unix_ms);
  job.created_ms = now.unix_ms;
  job.model_id = model_id_;
  job.numerics_version = numerics_version_;
  const RequestId id = job.id;
  pending_.emplace(id, Pending{std::make_shared<const JobRecord>(job), std::move(done)});
  CRASH_POINT("gateway.submit");
  dispatcher_.submit(now, std::move(job));
  run_effects();
}

// Nobody reads their feeds as they grow. What is said of the last one is true of all.
void GatewayService::submit_lines(std::vector<JobRecord> lines, std::vector<StoreWrite> with,
                                  const std::function<void(Status)>& done) {
  CHECK(!lines.empty(), "no line to submit");
  for (const JobRecord& line : lines) {
    const bool is_last = &line == &lines.back();
    pending_.emplace(line.id, Pending{std::make_shared<const JobRecord>(line),
                                      [done, is_last](const Result<Accepted>& accepted) {
                                        if (!is_last) return;
                                        done(accepted.ok() ? Status() : accepted.error());
                                      }});
  }
  dispatcher_.submit_all(ports_.now(), std::move(lines), std::move(with));
  run_effects();
}

void GatewayService::cancel_lines(const std::vector<RequestId>& lines) {
  for (const RequestId& line : lines) dispatcher_.cancel(ports_.now(), line);
  run_effects();
}

void GatewayService::find(const std::string& tenant, RequestId id, FoundCallback done) {
  if (const std::shared_ptr<Feed> feed = feed_of(id)) {
    if (feed->record().tenant != tenant) return done(not_found(id));
    return done(std::shared_ptr<JobFeed>(feed));
  }
  // Its client has come back now, however long the disk takes to say so.
  const bool held = dispatcher_.holds(tenant, id);
  if (held) dispatcher_.watch(ports_.now(), id, 1);
  ports_.store->load(tenant, id, [this, id, held, done = std::move(done)](Result<StoredJob> job) {
    ports_.post(
        [this, id, held, done, found = std::make_shared<Result<StoredJob>>(std::move(job))] {
          found_on_disk(std::move(*found), done);
          if (held) dispatcher_.watch(ports_.now(), id, -1);
        });
  });
}

void GatewayService::found_on_disk(Result<StoredJob> job, const FoundCallback& done) {
  if (!job.ok()) return done(std::move(job).error());
  StoredJob stored = std::move(job).value();
  const RequestId id = stored.record.id;
  CRASH_POINT("gateway.found_on_disk");
  // Meanwhile it may have begun to run.
  if (const std::shared_ptr<Feed> feed = feed_of(id)) return done(std::shared_ptr<JobFeed>(feed));
  const auto feed = std::make_shared<Feed>(
      std::make_shared<const JobRecord>(std::move(stored.record)), std::move(stored.choices));
  if (is_terminal(stored.state)) {
    feed->finish(stored.outcome);
  } else {
    feeds_[id] = feed;
  }
  done(std::shared_ptr<JobFeed>(feed));
}

// The feed of a job that is in memory; a new one when nobody reads it now.
std::shared_ptr<Feed> GatewayService::feed_of(RequestId id) {
  const auto known = feeds_.find(id);
  if (known != feeds_.end()) {
    if (std::shared_ptr<Feed> feed = known->second.lock()) return feed;
    feeds_.erase(known);
  }
  auto view = dispatcher_.find(id);
  if (!view || view->record == nullptr) return nullptr;
  auto feed = std::make_shared<Feed>(view->record, std::move(view->choices));
  feeds_[id] = feed;
  return feed;
}

void GatewayService::cancel(const std::string& tenant, RequestId id,
                            std::function<void(Status)> done) {
  find(tenant, id, [this, id, done = std::move(done)](auto feed) {
    if (!feed.ok()) return done(feed.error());
    if (feed.value()->outcome()) return done({});
    // Told when its terminal row is on disk: until then a crash brings the job back.
    CRASH_POINT("gateway.cancel");
    cancelling_[id].push_back(done);
    dispatcher_.cancel(ports_.now(), id);
    run_effects();
  });
}

void GatewayService::answer_cancels(RequestId id, const Status& status) {
  const auto node = cancelling_.extract(id);
  if (node.empty()) return;
  if (status.ok()) CRASH_POINT("gateway.cancelled");
  for (const auto& done : node.mapped()) done(status);
}

void GatewayService::watch(RequestId id, int change) {
  if (change < 0) CRASH_POINT("gateway.client_left");
  dispatcher_.watch(ports_.now(), id, change);
  run_effects();
}

void GatewayService::replica_message(ReplicaId replica, const ToGateway& message) {
  dispatcher_.message(ports_.now(), replica, message);
  run_effects();
}

void GatewayService::replica_lost(ReplicaId replica, const std::string& reason) {
  dispatcher_.replica_lost(ports_.now(), replica, reason);
  run_effects();
}

void GatewayService::drain(std::int64_t patience_ms) {
  CRASH_POINT("gateway.drain");
  dispatcher_.drain(ports_.now(), patience_ms);
  run_effects();
}

void GatewayService::tick() {
  dispatcher_.tick(ports_.now());
  run_effects();
}

// Effects may cause effects; those come behind.
void GatewayService::run_effects() {
  for (auto effects = dispatcher_.take_effects(); !effects.empty();
       effects = dispatcher_.take_effects()) {
    for (const Effect& effect : effects) {
      std::visit([this](const auto& one) { carry_out(one); }, effect);
    }
  }
}

void GatewayService::carry_out(const StoreEffect& effect) {
  const bool ends = has<EndJob>(effect);
  const bool is_checkpoint = !ends && has<AppendTokens>(effect);
  if (ends) CRASH_POINT("gateway.end");
  if (is_checkpoint) CRASH_POINT("gateway.checkpoint");
  ports_.store->commit(effect.writes,
                       [this, is_checkpoint, ticket = effect.ticket](const Status& status) {
                         ports_.post([this, is_checkpoint, ticket, status] {
                           if (is_checkpoint) CRASH_POINT("gateway.checkpointed");
                           dispatcher_.stored(ports_.now(), ticket, status);
                           run_effects();
                         });
                       });
}

void GatewayService::carry_out(const LoadEffect& effect) {
  ports_.store->load({}, effect.id, [this, id = effect.id](Result<StoredJob> job) {
    ports_.post([this, id, found = std::make_shared<Result<StoredJob>>(std::move(job))] {
      CRASH_POINT("gateway.loaded");
      dispatcher_.loaded(ports_.now(), id, std::move(*found));
      run_effects();
    });
  });
}

void GatewayService::carry_out(const SendEffect& effect) {
  const bool assigns = std::holds_alternative<AssignMessage>(effect.message.body);
  if (assigns) CRASH_POINT("gateway.assign");
  ports_.send(effect.replica, effect.message);
  if (assigns) CRASH_POINT("gateway.assigned");
  if (std::holds_alternative<WelcomeMessage>(effect.message.body)) CRASH_POINT("gateway.welcomed");
}

void GatewayService::carry_out(const FenceEffect& effect) {
  CRASH_POINT("gateway.fence");
  ports_.fence(effect.replica, effect.epoch, effect.reason);
  CRASH_POINT("gateway.fenced");
}

void GatewayService::carry_out(const AcceptEffect& effect) {
  auto node = pending_.extract(effect.id);
  CHECK(!node.empty(), "accepted what nobody submitted");
  Pending pending = std::move(node.mapped());
  if (!effect.status.ok()) answer_cancels(effect.id, not_found(effect.id));
  if (effect.status.ok()) {
    const auto feed = std::make_shared<Feed>(pending.record, std::vector<ChoiceRecord>());
    feeds_[effect.id] = feed;
    CRASH_POINT("gateway.accepted");
    pending.done(Accepted{.feed = feed});
    CRASH_POINT("gateway.accept_told");
    return;
  }
  // The store refuses a key that is taken with kAborted.
  const bool key_taken =
      effect.status.error().code == ErrorCode::kAborted && !pending.record->idempotency_key.empty();
  if (key_taken) return replay(std::move(pending));
  pending.done(effect.status.error());
}

// The key was used before: by an equal request, whose answer this is, or by another one.
void GatewayService::replay(Pending pending) {
  const std::shared_ptr<const JobRecord> record = pending.record;
  const auto report = [done = std::move(pending.done)](Result<std::shared_ptr<JobFeed>> feed) {
    if (!feed.ok()) return done(std::move(feed).error());
    done(Accepted{.feed = std::move(feed).value(), .replayed = true});
  };
  CRASH_POINT("gateway.replay");
  ports_.store->find_key(
      record->tenant, record->route, record->idempotency_key,
      [this, record, report](Result<JobStore::KeyHolder> holder) {
        ports_.post([this, record, report, holder = std::move(holder)] {
          CRASH_POINT("gateway.replayed");
          if (!holder.ok()) return report(holder.error());
          if (holder.value().body_digest != record->body_digest) {
            return report(Error{ErrorCode::kInvalidArgument,
                                "Idempotency-Key: it was used with another body"});
          }
          find(record->tenant, holder.value().id, report);
        });
      });
}

void GatewayService::carry_out(const TokensEffect& effect) {
  CRASH_POINT("gateway.tokens");
  const auto known = feeds_.find(effect.key.request);
  if (known == feeds_.end()) return;
  if (const auto feed = known->second.lock()) {
    feed->append(effect.key, effect.first, effect.tokens);
    CRASH_POINT("gateway.tokens_told");
  } else {
    feeds_.erase(known);
  }
}

void GatewayService::carry_out(const ChoiceEndEffect& effect) {
  CRASH_POINT("gateway.choice_end");
  const auto known = feeds_.find(effect.key.request);
  if (known == feeds_.end()) return;
  if (const auto feed = known->second.lock()) feed->end_choice(effect.key.choice, effect.end);
}

void GatewayService::carry_out(const EndEffect& effect) {
  const auto node = feeds_.extract(effect.id);
  const std::shared_ptr<Feed> feed = node.empty() ? nullptr : node.mapped().lock();
  CRASH_POINT("gateway.ended");
  if (feed) feed->finish(effect.outcome);
  CRASH_POINT("gateway.end_told");
  answer_cancels(effect.id, {});
  if (ports_.ended) ports_.ended(effect.id, effect.outcome.state);
}

void GatewayService::carry_out(const StopEffect& effect) {
  CRASH_POINT("gateway.drained");
  ports_.stop(effect.status);
}

}  // namespace lockstep
