// What a restarted gateway must know of replicas that outlived it: whose key is whose, which
// generation, which processes; so that it adopts or kills them. Calls come from any thread;
// callbacks run on the store's thread and must not block.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "base/result.h"
#include "base/wire.h"
#include "scheduler/replica_id.h"

namespace lockstep {

struct ReplicaRecord {
  ReplicaId replica{};
  std::string name;
  std::string public_key;              // CURVE, as Z85 text.
  std::uint64_t epoch = 0;             // Its generation.
  std::vector<RankProcess> processes;  // Its ranks, and whatever launched them.
};

class ReplicaStore {
 public:
  virtual ~ReplicaStore() = default;

  // Inserts or replaces the row. Durable before the callback: a fence is one once it was written.
  virtual void put(ReplicaRecord record, std::function<void(Status)> done) = 0;
  virtual void remove(ReplicaId replica, std::function<void(Status)> done) = 0;
  virtual void load_all(std::function<void(Result<std::vector<ReplicaRecord>>)> done) = 0;
};

}  // namespace lockstep
