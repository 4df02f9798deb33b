// A replica's process: the real protocol of its link and the real step scheduler around a fake
// model. It can be killed, and stopped for a while.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <vector>

#include "scheduler/replica_id.h"
#include "tests/simulation/engine.h"
#include "tests/simulation/event_queue.h"
#include "tests/simulation/network.h"
#include "worker/service/link_protocol.h"

namespace lockstep::simulation {

struct ReplicaConfig {
  HelloMessage hello;
  SchedulerConfig scheduler;
  std::int64_t step_us = 4000;       // Of every step,
  std::int64_t step_token_us = 200;  // ... and of each of its tokens.
  std::int64_t patience_ms = 20'000;
  std::int64_t hello_ms = 100;
};

class Replica {
 public:
  struct Ports {
    EventQueue* queue = nullptr;
    Trace* trace = nullptr;
    std::function<void(ToGateway)> send;
    std::function<void()> exited;  // By itself: its lease is over, or a rank failed.
  };

  Replica(const ReplicaConfig& config, Ports ports);

  // Its first word.
  void begin() { speak(); }
  void receive(ToReplica message);
  // SIGKILL.
  void kill() { alive_ = false; }
  // SIGSTOP; SIGCONT follows at that time.
  void stop(std::int64_t until_us);
  // The step that runs then never ends; the link's thread lives on.
  void hang() { hangs_ = true; }
  // SIGTERM: hands back what runs at the end of the step, and exits.
  void retire();

  bool alive() const { return alive_; }
  const SchedulerCounts& counts() const { return engine_.counts(); }

 private:
  struct Running {
    ChoiceKey key;
    std::uint32_t attempt = 0;
    std::uint32_t sent = 0;  // Tokens that the gateway has, or will have.
  };

  bool stopped() const { return ports_.queue->now_us() < stopped_until_us_; }
  std::int64_t now_ms() const { return ports_.queue->now_us() / 1000; }
  void later(std::int64_t delay_us, std::function<void()> action);
  void wake(std::int64_t due_ms);
  void speak();
  void take_orders();
  void obey(const ToReplica& order);
  void assign(const AssignMessage& order);
  void drop(SequenceId id);
  void drop_all();
  void begin_step();
  bool leave();
  void end_step();
  void report(ProgressMessage message);
  BeatMessage beat();

  ReplicaConfig config_;
  Ports ports_;
  LinkProtocol link_;
  Engine engine_;
  bool alive_ = true;
  bool hangs_ = false;
  bool retires_ = false;
  bool draining_ = false;  // Exits when nothing runs.
  std::int64_t stopped_until_us_ = 0;
  std::int64_t wakes_ms_ = -1;       // When the link's timer goes off.
  std::int64_t step_began_ms_ = -1;  // -1: none runs.
  std::uint64_t epoch_ = 0;          // Of the step loop.
  std::map<SequenceId, Running> running_;
  std::map<ChoiceKey, SequenceId> by_key_;
};

}  // namespace lockstep::simulation
