// The replicas of a gateway as processes and keys: starts them, adopts those that outlived an
// earlier gateway, kills and starts again what was fenced. Belongs to the router's thread.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "base/curve_key.h"
#include "base/random.h"
#include "base/wire.h"
#include "scheduler/gateway.h"
#include "scheduler/gateway/key_folder.h"
#include "scheduler/gateway/launcher/backoff.h"
#include "scheduler/gateway/launcher/replica_launcher.h"
#include "scheduler/gateway/transport/replica_transport.h"
#include "scheduler/replica_id.h"
#include "scheduler/replica_store.h"

namespace lockstep {

class ReplicaPool {
 public:
  struct Parts {
    ReplicaTransport* transport = nullptr;
    ReplicaLauncher* launcher = nullptr;  // Null: replicas are started by others.
    ReplicaStore* store = nullptr;
    Random* random = nullptr;
    CurvePublicKey gateway_key;
    std::string key_folder;  // Where key files for others are put.
    // Ends a step of our Slurm job; null: not inside one.
    std::function<void(const std::string& step)> end_step;
    // Brings a function to the router's thread.
    std::function<void(std::function<void()>)> post;
    // A replica could not be started, or is none of ours.
    std::function<void(ReplicaId, const std::string& reason)> lost;
  };

  ReplicaPool(const GatewayConfig& config, Parts parts);

  // Starts every replica, or adopts it where `known` says that it runs already. Nothing is started
  // before.
  void begin(const std::vector<ReplicaRecord>& known, std::int64_t now_ms);
  // A replica has said Hello: its processes are watched and remembered from now on.
  void hello(ReplicaId replica, const HelloMessage& message, std::int64_t now_ms);
  // Ends a generation: key, processes; the next is started after a while.
  void fence(ReplicaId replica, const std::string& reason, std::int64_t now_ms);
  void tick(std::int64_t now_ms);
  // Nothing is started any more.
  void stop() { is_stopping_ = true; }
  // Replicas have drained and are gone: a gateway that comes next does not wait for them.
  void close();

  struct View {
    std::string state;  // "starting", "ready", "waiting"
    std::uint64_t restarts = 0;
  };
  View view(ReplicaId replica) const;
  std::vector<ReplicaId> ids() const;

 private:
  enum class Life : std::uint8_t { kWaiting, kStarting, kUp };
  struct Entry {
    explicit Entry(const BackoffConfig& config) : backoff(config) {}
    Life life = Life::kWaiting;
    std::int64_t since_ms = 0;  // In this life.
    std::int64_t due_ms = 0;    // When to start it, or to give up waiting for its Hello.
    CurvePublicKey key;
    Backoff backoff;
    std::uint64_t restarts = 0;
  };

  void start(ReplicaId replica, std::int64_t now_ms);
  Status hand_out_keys(ReplicaId replica, const ReplicaKeys& keys);
  bool adopt(ReplicaId replica, const ReplicaRecord& record, std::int64_t now_ms);
  void remember(ReplicaId replica, const std::vector<RankProcess>& processes);
  void watch_key(ReplicaId replica, Entry& entry, std::int64_t now_ms);
  void lose(ReplicaId replica, std::string why);

  const GatewayConfig& config_;
  Parts parts_;
  const KeyFolder keys_;
  std::int64_t keys_seen_ms_ = 0;
  std::map<ReplicaId, Entry> entries_;
  bool has_begun_ = false;
  bool is_stopping_ = false;
};

}  // namespace lockstep
