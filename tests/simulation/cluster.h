// A gateway, its disk, its replicas and what starts them: everything that can die, with the real
// GatewayService in the middle. Clients call it; whoever makes the faults does, too.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <vector>

#include "scheduler/gateway/service.h"
#include "tests/simulation/disk.h"
#include "tests/simulation/event_queue.h"
#include "tests/simulation/network.h"
#include "tests/simulation/replica.h"
#include "tests/simulation/seeded_random.h"
#include "tests/simulation/trace.h"

namespace lockstep::simulation {

// When virtual time begins.
inline constexpr std::int64_t kUnixStartMs = 1'750'000'000'000;

struct ClusterConfig {
  DispatcherConfig dispatcher;
  ReplicaConfig replica;
  std::uint32_t num_replicas = 2;
  std::uint32_t num_remote = 0;    // Of them; the others are processes that the gateway can kill.
  std::int64_t router_lag_us = 0;  // From the transport's thread to the gateway's.
  std::int64_t load_model_us = 100'000;
  std::int64_t restart_gateway_us = 300'000;
};

// What a gateway tells its clients, and may not take back.
enum class Promise : std::uint8_t { kAccepted, kCancelled, kEnded };

class Cluster {
 public:
  // What outlives a gateway.
  struct World {
    EventQueue& queue;
    SeededRandom& random;
    Trace& trace;
    Network& network;
    Disk& disk;
  };

  Cluster(const ClusterConfig& config, World world);
  ~Cluster();

  std::int64_t now_us() const { return world_.queue.now_us(); }
  std::int64_t unix_ms() const;
  // A line of the trace for who reads it.
  bool prints() const { return world_.trace.prints(); }
  void print(const std::string& what) const { world_.trace.print(now_us(), what); }

  // ---- For clients.

  // Runs `action` in the gateway, after the way there; `refused` when nobody listens.
  void call(std::function<void(GatewayService&)> action, std::function<void()> refused);
  // Runs `action` in the gateway's process soon, if it lives then.
  void post(std::int64_t delay_us, std::function<void(GatewayService&)> action);
  // Called when a gateway has died: connections to it are closed.
  void on_gateway_death(std::function<void()> listener) { listener_ = std::move(listener); }

  // A client heard this.
  void promised(Promise promise);

  // ---- Faults.

  bool gateway_up() const { return service_ != nullptr; }
  void crash_gateway();
  // It crashes when it has next told this to a client.
  void crash_gateway_behind(Promise promise) { crashes_behind_ = promise; }
  void pause_gateway(std::int64_t until_us) { paused_until_us_ = until_us; }
  // SIGTERM: what runs goes on for at most `patience_us`; then it stops, and is started again.
  void drain_gateway(std::int64_t patience_us);
  void kill_replica(std::size_t index);
  void stop_replica(std::size_t index, std::int64_t until_us);
  void hang_replica(std::size_t index);
  void retire_replica(std::size_t index);  // SIGTERM.
  void cut_wires(std::size_t index, std::int64_t until_us, bool both_ways);
  std::size_t num_replicas() const { return members_.size(); }
  bool is_remote(std::size_t index) const { return members_[index]->remote; }

  const Dispatcher::Counts& counts() const { return counts_; }  // Of gateways that died.
  std::uint64_t num_preemptions() const;
  std::uint64_t num_prefix_hits() const;

 private:
  struct Member {  // A replica's place.
    ReplicaId id{};
    bool remote = false;
    Wire up, down;
    std::vector<std::unique_ptr<Replica>> processes;  // The last one is current.
    bool allowed = false;                             // Its key is.
    bool greeted = false;                             // Its connection began with a Hello.
    bool starting = false;
  };

  void start_gateway();
  void begin_service();
  void tick();
  void fence(ReplicaId id, const std::string& reason);
  void expect_hello(Member& member, const Replica* process);
  void process_ended(Member& member, const Replica* process);
  void start_process(Member& member, std::int64_t delay_us);
  void to_replica(ReplicaId id, const ToReplica& message);
  void from_replica(Member& member, const Replica* process, ToGateway message);

  ClusterConfig config_;
  World world_;
  std::vector<std::unique_ptr<Member>> members_;
  std::unique_ptr<GatewayService> service_;  // Null: the gateway is dead, or starts.
  std::uint64_t life_ = 0;                   // Of the gateway.
  std::int64_t born_us_ = 0;
  std::int64_t paused_until_us_ = 0;
  std::optional<Promise> crashes_behind_;
  bool ready_ = false;
  std::function<void()> listener_;
  Dispatcher::Counts counts_;
};

}  // namespace lockstep::simulation
