#include "tests/simulation/cluster.h"

#include <string>
#include <utility>

#include "base/check.h"

namespace lockstep::simulation {

namespace {

constexpr std::int64_t kTickUs = 50'000;
constexpr std::int64_t kHelloPatienceUs = 3'000'000;

}  // namespace

Cluster::Cluster(const ClusterConfig& config, World world) : config_(config), world_(world) {
  for (std::uint32_t i = 0; i < config.num_replicas; ++i) {
    auto member = std::make_unique<Member>();
    member->id = ReplicaId{i};
    member->remote = i < config.num_remote;
    member->up.name = 2 * i;
    member->down.name = 2 * i + 1;
    members_.push_back(std::move(member));
    if (members_.back()->remote) start_process(*members_.back(), 0);
  }
  start_gateway();
}

Cluster::~Cluster() = default;

std::int64_t Cluster::unix_ms() const { return kUnixStartMs + now_us() / 1000; }

// ---- The gateway's process.

void Cluster::start_gateway() {
  ++life_;
  born_us_ = now_us();
  ready_ = false;
  DispatcherConfig dispatcher = config_.dispatcher;
  dispatcher.gateway_epoch = world_.disk.begin_epoch();
  ServicePorts ports;
  ports.store = &world_.disk;
  ports.now = [this] {
    return Now{.mono_ms = 1000 + (now_us() - born_us_) / 1000, .unix_ms = unix_ms()};
  };
  ports.post = [this](std::function<void()> action) {
    post(10, [action = std::move(action)](GatewayService&) { action(); });
  };
  ports.send = [this](ReplicaId id, const ToReplica& message) { to_replica(id, message); };
  ports.fence = [this](ReplicaId id, std::uint64_t, const std::string& reason) {
    fence(id, reason);
  };
  ports.stop = [this](const Status&) {
    // The process ends behind the call that it is in.
    post(0, [this](GatewayService&) { crash_gateway(); });
  };
  service_ = std::make_unique<GatewayService>(dispatcher, std::move(ports), world_.random);
  service_->recover([this](const Status& status) {
    CHECK(status.ok(), "a simulated disk can be read");
    begin_service();
  });
}

// It takes up what the gateway before has left.
void Cluster::begin_service() {
  ready_ = true;
  if (prints()) print("gateway is up");
  for (const auto& member : members_) {
    member->greeted = false;
    if (member->remote) continue;
    member->starting = false;
    const bool alive = !member->processes.empty() && member->processes.back()->alive();
    if (alive && member->allowed && world_.random.chance(700)) {
      expect_hello(*member, member->processes.back().get());
      continue;
    }
    if (alive) member->processes.back()->kill();
    start_process(*member, config_.load_model_us);
  }
  tick();
}

void Cluster::tick() {
  service_->tick();
  post(kTickUs, [this](GatewayService&) { tick(); });
}

void Cluster::crash_gateway() {
  if (service_ == nullptr) return;
  const Dispatcher::Counts& counts = service_->dispatcher().counts();
  counts_.moved += counts.moved;
  counts_.fenced += counts.fenced;
  counts_.stale += counts.stale;
  counts_.recalled += counts.recalled;
  counts_.checkpoints += counts.checkpoints;
  world_.trace.add(static_cast<std::uint64_t>(now_us()));
  if (prints()) print("gateway dies");
  service_ = nullptr;
  ++life_;
  paused_until_us_ = 0;
  world_.disk.crash();
  if (listener_) listener_();
  world_.queue.after(config_.restart_gateway_us, [this] { start_gateway(); });
}

void Cluster::post(std::int64_t delay_us, std::function<void(GatewayService&)> action) {
  world_.queue.after(delay_us, [this, life = life_, action = std::move(action)] {
    if (life != life_ || service_ == nullptr) return;
    if (now_us() < paused_until_us_) return post(paused_until_us_ - now_us(), action);
    action(*service_);
  });
}

void Cluster::call(std::function<void(GatewayService&)> action, std::function<void()> refused) {
  const std::int64_t way_us = world_.random.between(100, 1000);
  world_.queue.after(way_us,
                     [this, action = std::move(action), refused = std::move(refused)]() mutable {
                       if (service_ == nullptr || !ready_) {
                         world_.queue.after(300, std::move(refused));
                       } else if (now_us() < paused_until_us_) {
                         post(paused_until_us_ - now_us(), std::move(action));
                       } else {
                         action(*service_);
                       }
                     });
}

// ---- Messages.

void Cluster::to_replica(ReplicaId id, const ToReplica& message) {
  Member& member = *members_.at(static_cast<std::size_t>(id));
  if (!member.allowed || member.processes.empty()) return;
  Replica* process = member.processes.back().get();
  world_.network.send(member.down, message,
                      [process](ToReplica arrived) { process->receive(std::move(arrived)); });
}

// The transport: a key that was taken away is refused, a connection begins with a Hello.
void Cluster::from_replica(Member& member, const Replica* process, ToGateway message) {
  if (service_ == nullptr || !ready_) return;
  if (!member.allowed || process != member.processes.back().get()) return;
  if (std::holds_alternative<HelloMessage>(message.body)) {
    member.greeted = true;
  } else if (!member.greeted) {
    return to_replica(member.id, ToReplica{.epoch = 0, .sequence = 0, .body = IdentifyMessage{}});
  }
  if (config_.router_lag_us == 0 && now_us() >= paused_until_us_) {
    return service_->replica_message(member.id, message);
  }
  post(config_.router_lag_us,
       [id = member.id, message = std::move(message)](GatewayService& service) {
         service.replica_message(id, message);
       });
}

// ---- Processes of replicas.

void Cluster::start_process(Member& member, std::int64_t delay_us) {
  if (member.starting) return;
  member.starting = true;
  const std::uint64_t life = member.remote ? 0 : life_;  // Who is to start it may die first.
  world_.queue.after(delay_us, [this, &member, life] {
    if (life != 0 && life != life_) return;
    member.starting = false;
    member.allowed = true;
    member.greeted = false;
    const std::size_t index = member.processes.size();
    const auto this_process = [&member, index] { return member.processes[index].get(); };
    Replica::Ports ports;
    ports.queue = &world_.queue;
    ports.trace = &world_.trace;
    ports.send = [this, &member, this_process](ToGateway message) {
      world_.network.send(member.up, std::move(message),
                          [this, &member, process = this_process()](ToGateway arrived) {
                            from_replica(member, process, std::move(arrived));
                          });
    };
    ports.exited = [this, &member, this_process] { process_ended(member, this_process()); };
    member.processes.push_back(nullptr);
    member.processes.back() = std::make_unique<Replica>(config_.replica, std::move(ports));
    if (!member.remote) expect_hello(member, member.processes.back().get());
    member.processes.back()->begin();
  });
}

// The launcher's patience: who was started or adopted and says nothing is as good as dead.
void Cluster::expect_hello(Member& member, const Replica* process) {
  post(kHelloPatienceUs, [&member, process](GatewayService& service) {
    if (member.starting || member.greeted || process != member.processes.back().get()) return;
    service.replica_lost(member.id, "said no Hello");
  });
}

// A remote one is started again by whoever watches it there, a near one by the gateway.
void Cluster::process_ended(Member& member, const Replica* process) {
  if (process != member.processes.back().get()) return;
  if (prints()) print("replica " + std::to_string(member.up.name / 2) + " ends");
  if (member.remote) return start_process(member, 4 * config_.load_model_us);
  const std::int64_t seen_us = world_.random.between(1000, 50'000);
  post(seen_us, [this, &member, process](GatewayService& service) {
    if (process != member.processes.back().get() || member.starting || !ready_) return;
    service.replica_lost(member.id, "a rank died");
  });
}

void Cluster::fence(ReplicaId id, const std::string& reason) {
  Member& member = *members_.at(static_cast<std::size_t>(id));
  member.allowed = false;
  world_.trace.add(static_cast<std::uint64_t>(now_us()));
  if (prints()) print("gateway fences " + std::to_string(member.up.name / 2) + ": " + reason);
  if (member.remote) return;
  if (!member.processes.empty()) member.processes.back()->kill();
  const std::int64_t backoff_us = world_.random.between(10'000, 200'000);
  start_process(member, backoff_us + config_.load_model_us);
}

std::uint64_t Cluster::num_preemptions() const {
  std::uint64_t count = 0;
  for (const auto& member : members_) {
    for (const auto& process : member->processes) count += process->counts().preemptions;
  }
  return count;
}

std::uint64_t Cluster::num_prefix_hits() const {
  std::uint64_t count = 0;
  for (const auto& member : members_) {
    for (const auto& process : member->processes) count += process->counts().prefix_hits;
  }
  return count;
}

// ---- Faults.

void Cluster::kill_replica(std::size_t index) {
  Member& member = *members_[index];
  if (member.processes.empty() || !member.processes.back()->alive()) return;
  member.processes.back()->kill();
  process_ended(member, member.processes.back().get());
}

void Cluster::stop_replica(std::size_t index, std::int64_t until_us) {
  if (!members_[index]->processes.empty()) members_[index]->processes.back()->stop(until_us);
}

void Cluster::hang_replica(std::size_t index) {
  if (!members_[index]->processes.empty()) members_[index]->processes.back()->hang();
}

void Cluster::promised(Promise promise) {
  if (crashes_behind_ != promise) return;
  crashes_behind_.reset();
  world_.queue.after(world_.random.between(0, 500), [this] { crash_gateway(); });
}

void Cluster::retire_replica(std::size_t index) {
  if (!members_[index]->processes.empty()) members_[index]->processes.back()->retire();
}

void Cluster::drain_gateway(std::int64_t patience_us) {
  if (service_ == nullptr || !ready_) return;
  post(0, [patience_us](GatewayService& service) { service.drain(patience_us / 1000); });
}

void Cluster::cut_wires(std::size_t index, std::int64_t until_us, bool both_ways) {
  members_[index]->up.cut_until_us = until_us;
  if (both_ways) members_[index]->down.cut_until_us = until_us;
}

}  // namespace lockstep::simulation
