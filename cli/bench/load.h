// How long a model takes to load with every hash checked, against reading and hashing alone.
#pragma once

#include "base/result.h"
#include "cli/replica_session.h"

namespace lockstep {

struct LoadOptions {
  ReplicaOptions replica;
  int repetitions = 5;
};

// Measures and prints; gives the exit status.
Result<int> run_load(const LoadOptions& options, bool json);

}  // namespace lockstep
