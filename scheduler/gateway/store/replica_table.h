// The rows of replicas: their statements. Runs inside the transaction of whoever calls.
#pragma once

#include <cstdint>
#include <vector>

#include "base/database.h"
#include "scheduler/replica_store.h"

namespace lockstep {

class ReplicaTable {
 public:
  static Result<ReplicaTable> prepare(Database& database);

  Status put(const ReplicaRecord& record);
  Status remove(ReplicaId replica);
  Result<std::vector<ReplicaRecord>> load_all();

 private:
  ReplicaTable() = default;

  Statement put_, remove_, load_;
};

}  // namespace lockstep
