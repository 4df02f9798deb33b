// What a seed means: how large the world is, what its clients want and what breaks when.
#pragma once

#include <cstdint>
#include <vector>

#include "tests/simulation/client.h"
#include "tests/simulation/cluster.h"
#include "tests/simulation/network.h"

namespace lockstep::simulation {

struct Fault {
  enum class Kind : std::uint8_t {
    kKillReplica,
    kStopReplica,  // For a while, or (a near one) for good: length_us 0.
    kHangReplica,
    kCutWires,  // For a while.
    kCrashGateway,
    kPauseGateway,  // For a while.
    kDiskFull,      // For a while.
    kDiskError,
    kRetireReplica,
    kDrainGateway,        // It stops when nothing runs any more, or at that time.
    kCrashBehindPromise,  // When it has next told a client something; `promise` says what.
  };
  static constexpr std::uint64_t kNumKinds = 11;
  Kind kind = Kind::kKillReplica;
  std::int64_t at_us = 0;
  std::size_t replica = 0;
  std::int64_t length_us = 0;
  bool both_ways = true;
  Promise promise = Promise::kAccepted;
};

struct Scenario {
  std::uint64_t seed = 0;
  ClusterConfig cluster;
  NetworkFaults network;  // Until quiet_us.
  std::int64_t disk_low_us = 200;
  std::int64_t disk_high_us = 3000;
  std::size_t disk_queue = 4096;
  std::vector<Intent> intents;
  std::vector<Fault> faults;     // All before quiet_us.
  std::int64_t quiet_us = 0;     // Faults stop.
  std::int64_t deadline_us = 0;  // By then everything that was accepted has ended.
  bool contended = false;        // Nothing breaks, and there is more to do than can be done.
};

Scenario make_scenario(std::uint64_t seed);

}  // namespace lockstep::simulation
