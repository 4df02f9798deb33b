// A replica whose ranks are threads of this process.
#pragma once

#include <memory>
#include <thread>
#include <vector>

#include "worker/rank.h"

namespace lockstep {

class LocalReplica {
 public:
  // Starts world_size ranks; this thread is rank 0. All load, or the error of the lowest rank that
  // could not.
  static Result<std::unique_ptr<LocalReplica>> start(const Store& store,
                                                     const ReplicaConfig& config, int world_size);
  // Stops and joins the followers.
  ~LocalReplica();

  Rank& leader() { return *rank_; }

 private:
  LocalReplica() = default;

  std::vector<std::unique_ptr<Communicator>> group_;
  std::vector<std::thread> followers_;
  std::unique_ptr<Rank> rank_;
};

}  // namespace lockstep
