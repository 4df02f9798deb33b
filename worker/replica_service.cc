#include "worker/replica_service.h"

#include <map>
#include <mutex>
#include <utility>

#include "base/log.h"
#include "worker/service/gateway_link.h"
#include "worker/service/work_watch.h"

namespace lockstep {
namespace {

constexpr int kIdleWaitMs = 100;

// What the beats say: written by the step thread, read by the link's.
class Gauge {
 public:
  explicit Gauge(const Clock& clock) : clock_(clock) {}

  void step_begins() { step_began_ns_.store(clock_.monotonic_ns()); }
  void step_ended() { step_began_ns_.store(0); }
  void set(const BeatMessage& beat) {
    const std::scoped_lock lock(mutex_);
    beat_ = beat;
  }
  BeatMessage read() const {
    BeatMessage beat;
    {
      const std::scoped_lock lock(mutex_);
      beat = beat_;
    }
    const std::int64_t began_ns = step_began_ns_.load();
    if (began_ns != 0) {
      beat.step_age_ms = static_cast<std::uint32_t>((clock_.monotonic_ns() - began_ns) / 1'000'000);
    }
    return beat;
  }

 private:
  const Clock& clock_;
  std::atomic<std::int64_t> step_began_ns_ = 0;
  mutable std::mutex mutex_;
  BeatMessage beat_;
};

HelloMessage hello_of(Leader& leader, const ReplicaServiceConfig& config) {
  const Rank& rank = leader.rank();
  HelloMessage hello;
  hello.model_id = rank.manifest().model_id;
  hello.numerics_version = kNumericsVersion;
  hello.device = rank.device();
  hello.context_tokens = rank.config().context_tokens;
  hello.max_sequences = config.max_sequences;
  hello.num_blocks = static_cast<std::uint32_t>(rank.config().num_blocks);
  hello.ranks = config.ranks;
  return hello;
}

// The choices of one generation and their sequences. Of the step thread.
class StepLoop {
 public:
  StepLoop(Leader& leader, GatewayLink& link, Gauge& gauge, std::uint32_t max_sequences)
      : leader_(leader), link_(link), gauge_(gauge), max_sequences_(max_sequences) {}

  Status run(const std::atomic<bool>& leave) {
    for (;;) {
      for (ToReplica& order : link_.take(leader_.idle() ? kIdleWaitMs : 0)) {
        std::visit([&](auto& body) { obey(order.epoch, body); }, order.body);
      }
      LOCKSTEP_TRY(link_.status(), "serve");
      const bool drained = draining_ && leader_.idle();
      if (leave.load() || drained) {
        drop_all();
        (void)link_.send(epoch_, DrainedMessage{});
        return {};
      }
      LOCKSTEP_TRY(step(), "step");
    }
  }

 private:
  struct Running {
    ChoiceKey key;
    std::uint32_t attempt = 0;
    std::uint32_t sent = 0;  // Tokens that the gateway has, or will have.
  };

  void obey(std::uint64_t /*epoch*/, const LeaseMessage& /*order*/) {}
  void obey(std::uint64_t /*epoch*/, const IdentifyMessage& /*order*/) {}
  void obey(std::uint64_t /*epoch*/, const DrainMessage& /*order*/) { draining_ = true; }

  void obey(std::uint64_t epoch, const WelcomeMessage& /*order*/) {
    running_.clear();
    by_key_.clear();
    leader_.begin_generation(GenerationId{epoch});
    epoch_ = epoch;
    log_event(LogLevel::kInfo, "generation_begins", {{"epoch", epoch}});
  }

  void obey(std::uint64_t epoch, AssignMessage& order) {
    if (epoch != epoch_) return;
    const Running running{order.key, order.attempt,
                          static_cast<std::uint32_t>(order.delivered.size())};
    Result<SequenceId> id = admit(order);
    if (id.ok()) {
      running_.emplace(id.value(), running);
      by_key_[running.key] = id.value();
      return;
    }
    ChoiceEnd end;
    end.num_tokens = running.sent;
    end.status = std::move(id).error();
    report({{running.key, running.attempt, running.sent, {}, std::move(end)}});
  }

  void obey(std::uint64_t epoch, const CancelMessage& order) {
    if (epoch != epoch_) return;
    const auto found = by_key_.find(order.key);
    if (found == by_key_.end()) return;
    const SequenceId id = found->second;
    if (running_.at(id).attempt == order.attempt) drop(id);
  }

  Result<SequenceId> admit(AssignMessage& order) {
    if (draining_) return Error{ErrorCode::kUnavailable, "the replica drains"};
    if (running_.size() >= max_sequences_) {
      return Error{ErrorCode::kUnavailable, "the replica has no room for another sequence"};
    }
    if (by_key_.contains(order.key)) {
      return Error{ErrorCode::kInternal, "the choice runs here already"};
    }
    return leader_.add(request_of(order));
  }

  static Request request_of(AssignMessage& order) {
    Request request;
    request.prompt = std::move(order.prompt);
    request.sampling = std::move(order.sampling);
    request.priority = static_cast<PriorityClass>(order.priority);
    request.tenant = std::move(order.tenant);
    request.delivered = std::move(order.delivered);
    request.num_top_logprobs = order.num_top_logprobs;
    return request;
  }

  void drop(SequenceId id) {
    by_key_.erase(running_.at(id).key);
    running_.erase(id);
    leader_.cancel(id);
    (void)leader_.take(id);
  }

  void drop_all() {
    while (!running_.empty()) drop(running_.begin()->first);
  }

  Status step() {
    gauge_.step_begins();
    Result<std::vector<SequenceEvent>> events = leader_.step();
    gauge_.step_ended();
    if (!events.ok()) return std::move(events).error();
    std::vector<ChoiceProgress> choices;
    for (SequenceEvent& event : events.value()) {
      const auto found = running_.find(event.sequence);
      if (found != running_.end()) choices.push_back(progress_of(found->second, event));
    }
    if (!events.value().empty()) ++beat_.steps;
    gauge();
    report(std::move(choices));
    return {};
  }

  ChoiceProgress progress_of(Running& running, SequenceEvent& event) {
    ChoiceProgress progress{running.key, running.attempt, running.sent, {}, std::nullopt};
    if (event.token) {
      progress.tokens.push_back({*event.token, event.logits_digest, event.logprobs.chosen,
                                 std::move(event.logprobs.top)});
      ++running.sent;
    }
    if (!event.finished) return progress;
    const Completion completion = leader_.take(event.sequence);
    progress.end = ChoiceEnd{.status = std::move(event.status),
                             .reason = completion.finish_reason,
                             .num_tokens = running.sent,
                             .cached_tokens = completion.cached_tokens,
                             .computed_tokens = completion.computed_tokens,
                             .steps = completion.steps};
    by_key_.erase(running.key);
    running_.erase(event.sequence);
    return progress;
  }

  void report(std::vector<ChoiceProgress> choices) {
    if (choices.empty()) return;
    if (link_.send(epoch_, ProgressMessage{std::move(choices)})) return;
    // The gateway did not listen for so long that it must begin anew.
    log_event(LogLevel::kWarning, "generation_ends", {{"epoch", epoch_}, {"why", "queue full"}});
    epoch_ = 0;
    drop_all();
  }

  void gauge() {
    const Scheduler& scheduler = leader_.scheduler();
    beat_.running = static_cast<std::uint32_t>(scheduler.num_running());
    beat_.waiting = static_cast<std::uint32_t>(scheduler.num_waiting());
    beat_.blocks_free = static_cast<std::uint32_t>(scheduler.pool().num_free());
    beat_.blocks_cached = static_cast<std::uint32_t>(scheduler.pool().num_cached());
    const SchedulerCounts& counts = scheduler.counts();
    beat_.preemptions = counts.preemptions;
    beat_.prompt_tokens = counts.prefill_tokens;
    beat_.cached_tokens = counts.cached_tokens;
    beat_.completion_tokens = counts.completion_tokens;
    gauge_.set(beat_);
  }

  Leader& leader_;
  GatewayLink& link_;
  Gauge& gauge_;
  std::uint32_t max_sequences_;
  std::uint64_t epoch_ = 0;
  bool draining_ = false;
  std::map<SequenceId, Running> running_;
  std::map<ChoiceKey, SequenceId> by_key_;
  BeatMessage beat_;
};

}  // namespace

Status serve_replica(Leader& leader, const ReplicaServiceConfig& config,
                     const std::atomic<bool>& leave, const Clock& clock) {
  Gauge gauge(clock);
  GatewayLink::Hooks hooks;
  hooks.abandon = config.abandon;
  hooks.beat = [&gauge, &config, &clock, watch = WorkWatch(config.ranks)]() mutable {
    BeatMessage beat = gauge.read();
    beat.stalled_ms = watch.stalled_ms(clock.monotonic_ns() / 1'000'000, beat.step_age_ms);
    if (config.oldest_rank_beat_ms) beat.oldest_rank_beat_ms = config.oldest_rank_beat_ms();
    return beat;
  };
  GatewayLinkConfig link_config;
  link_config.endpoint = config.endpoint;
  link_config.keys = config.keys;
  link_config.hello = hello_of(leader, config);
  link_config.patience_ms = config.patience_ms;
  LOCKSTEP_TRY_ASSIGN(const auto link,
                      GatewayLink::start(std::move(link_config), std::move(hooks), clock),
                      "replica");
  StepLoop loop(leader, *link, gauge, config.max_sequences);
  return loop.run(leave);
}

}  // namespace lockstep
