#include "worker/local_replica.h"

#include "base/log.h"

namespace lockstep {

Result<std::unique_ptr<LocalReplica>> LocalReplica::start(const Store& store,
                                                          const ReplicaConfig& config,
                                                          int world_size) {
  std::unique_ptr<LocalReplica> replica(new LocalReplica);
  ReplicaConfig local = config;
  local.ranks_on_node = world_size;
  local.ranks_in_process = world_size;
  const auto placed = [&local, world_size](int rank) {
    ReplicaConfig its = local;
    its.local_rank = rank;
    its.placement = share_processors(local.threads, rank, world_size);
    return its;
  };
  replica->group_ = make_local_group(world_size, placed(0).placement.exclusive);
  for (int r = 1; r < world_size; ++r) {
    Communicator& group = *replica->group_[static_cast<std::size_t>(r)];
    replica->followers_.emplace_back([&store, local = placed(r), &group] {
      // A rank that cannot start has told rank 0 so; one that fails later takes the group with it.
      auto rank = Rank::start(store, local, group);
      if (!rank.ok()) return;
      const Status status = rank.value()->follow();
      if (!status.ok()) {
        log_event(LogLevel::kError, "rank_lost",
                  {{"rank", group.rank()}, {"error", status.error().message}});
        group.abort(status.error().message);
      }
    });
  }
  LOCKSTEP_TRY_ASSIGN(replica->rank_, Rank::start(store, placed(0), *replica->group_.front()),
                      store.directory());
  return replica;
}

LocalReplica::~LocalReplica() {
  // Followers that never started have ended by themselves.
  if (rank_ != nullptr) (void)rank_->lead_stop();
  for (std::thread& follower : followers_) follower.join();
}

}  // namespace lockstep
