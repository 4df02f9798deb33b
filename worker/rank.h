// One rank of a replica: its shard, its runner, and the loop that follows the leader. The same code
// runs as a thread of one process and as a process of an MPI world.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "base/thread_pool.h"
#include "sharding/store.h"
#include "worker/communicator.h"
#include "worker/model_runner.h"

namespace lockstep {

// What all ranks of a replica must have been told alike.
struct ReplicaConfig {
  std::vector<double> weights;        // Share of each rank; empty: equal.
  std::string device = "auto";        // The ranks may differ in what "auto" means; the bits do not.
  std::string cuda_plugin;            // lockstep-cuda.so; empty: beside the executable.
  bool cuda_graphs = true;            // See DeviceTarget.
  std::string nccl = "libnccl.so.2";  // Used between devices where it is; "off": never.
  int local_rank = 0;                 // Of the ranks on this node: picks the device.
  int ranks_in_process = 1;           // That surely share its devices.
  int threads = 1;                    // Compute threads per rank.
  ThreadPlacement placement;          // Of the compute threads.
  std::uint32_t context_tokens = 0;   // Tokens of one sequence at most; 0: the model's context.
  int num_blocks = 0;                 // KV blocks; 0: enough for one sequence of context_tokens.
  int ranks_on_node = 1;              // That share this machine's memory.
  int max_step_tokens = 512;
  int chunk_tokens = 512;
  bool reuse_prefixes = true;
};

// What a rank did, for showing that the work is shared.
struct RankReport {
  Range parts;
  std::uint64_t weight_bytes = 0;  // Of the tensors it needs.
  std::uint64_t bytes_read = 0;    // From files: the same, rounded out to leaves.
  std::uint64_t multiply_adds = 0;
  std::uint64_t linear_calls = 0;
};

class Rank {
 public:
  // Collective: every rank loads its shard; all succeed or all get the error of the lowest rank
  // that failed. `group` must outlive the rank. The KV memory is reckoned and refused before it is
  // allocated.
  static Result<std::unique_ptr<Rank>> start(const Store& store, const ReplicaConfig& config,
                                             Communicator& group);

  // Follows the leader until it says stop. For ranks other than 0; blocks.
  Status follow();

  // For rank 0: sends the plan to all ranks and carries it out with them.
  Result<StepOutput> lead_step(const StepPlan& plan);
  // For rank 0: what every rank has done so far.
  Result<std::vector<RankReport>> lead_report();
  // For rank 0: ends the followers' loops.
  Status lead_stop();

  const Manifest& manifest() const { return store_.manifest(); }
  const ReplicaConfig& config() const { return config_; }  // With the defaults filled in.
  std::string_view device() const { return device_; }
  ModelRunner& runner() { return *runner_; }
  Communicator& group() { return group_; }

 private:
  Rank(const Store& store, const ReplicaConfig& config, Communicator& group)
      : store_(store), config_(config), group_(group) {}

  Status prepare();
  Result<std::vector<RankReport>> exchange_reports();

  Store store_;
  ReplicaConfig config_;
  Communicator& group_;
  std::vector<Range> runs_;
  std::string device_;
  std::unique_ptr<ModelRunner> runner_;
};

}  // namespace lockstep
