// What the leader of a replica does for a gateway: takes choices from it, steps, and sends back the
// tokens of each step. The caller's thread is the step thread; one more owns the socket
// (service/gateway_link.h), so that beats go on while a step runs.
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "base/clock.h"
#include "base/curve_key.h"
#include "base/wire.h"
#include "worker/leader.h"

namespace lockstep {

struct ReplicaServiceConfig {
  std::string endpoint;  // Of the gateway: "tcp://ADDRESS:PORT".
  ReplicaKeys keys;
  std::uint32_t max_sequences = 64;  // Choices that may be assigned at once.
  std::vector<RankProcess> ranks;    // By rank.
  int patience_ms = 60'000;          // How long to look for a gateway that answers.
  // How long ago the quietest rank of another host was heard; null: there is none.
  std::function<std::uint32_t()> oldest_rank_beat_ms;
  // Ends the process: the gateway is lost and a step hangs.
  std::function<void()> abandon;
};

// Serves until the gateway has drained the replica, or `leave` is set: then what runs is handed
// back, to go on elsewhere. kTimeout: the gateway has been silent for a lease. Any other error: the
// replica is lost. `leave` is looked at between steps and every 100 ms.
Status serve_replica(Leader& leader, const ReplicaServiceConfig& config,
                     const std::atomic<bool>& leave, const Clock& clock);

}  // namespace lockstep
