// The replica that a subcommand works with: the threads of this process, or the MPI world that
// mpirun or srun started.
#pragma once

#include <memory>
#include <optional>
#include <string>

#include "base/wire.h"
#include "cli/command.h"
#include "worker/local_replica.h"
#include "worker/mpi_group.h"
#include "worker/rank.h"
#include "worker/rank_beats.h"

namespace lockstep {

// The options that say who shares the model, common to all subcommands that compute.
struct ReplicaOptions {
  std::string model;
  std::optional<int> ranks;
  std::vector<double> weights;
  std::optional<int> threads;
  std::string device = "auto";
  std::string cuda_plugin;
  std::string cuda_graphs = "on";
  std::string nccl = ReplicaConfig().nccl;
  std::uint32_t context_tokens = 0;
  int chunk_tokens = 512;
  std::string transport = "auto";
};

// --model, --ranks, --weights, --device, --ctx-size, --chunk, --transport, and --threads unless the
// subcommand has its own.
CLI::Option* add_cuda_plugin_option(CLI::App& command, std::string& plugin);
void add_replica_options(CLI::App& command, ReplicaOptions& options, bool with_threads = true);

// Processors of this process's affinity mask.
int available_cores();

class ReplicaSession {
 public:
  // Opens the store and finds this process's place. Under a launcher this starts MPI; the size of
  // its world and --ranks must agree.
  static Result<std::unique_ptr<ReplicaSession>> open(const ReplicaOptions& options);
  // Stops the followers.
  ~ReplicaSession();

  // Whether this process is rank 0, which alone reads prompts and prints.
  bool leads() const;
  int world_size() const { return world_size_; }
  const Store& store() const { return store_; }

  // Compute threads per rank at the next load().
  void set_threads(int threads) { config_.threads = threads; }
  // Whether prompts may take keys and values from earlier ones, from the next load() on. Default
  // true.
  void set_reuse_prefixes(bool reuse) { config_.reuse_prefixes = reuse; }

  // KV blocks at the next load(), whatever the number of its sequences.
  void set_num_blocks(int num_blocks) { num_blocks_ = num_blocks; }

  // Loads the model on all ranks; what was loaded before is given up. `ready`: whether the leader
  // got so far that it is worth it; its error becomes everyone's. `num_sequences`: sequences of the
  // whole context that the KV cache holds at once.
  Status load(const Status& ready, int num_sequences = 1);

  // The processes of all ranks, by rank. Collective; after load().
  Result<std::vector<RankProcess>> processes();

  // Life signs of ranks on other hosts; null without MPI. Collective.
  Result<std::unique_ptr<RankBeats>> start_beats(const std::vector<RankProcess>& processes,
                                                 const RankBeatsConfig& config);

  // On ranks other than 0: works until the leader is done.
  Status follow();

  // On rank 0, after load().
  Rank& rank();

  // On rank 0: lets the followers return and gives the model up; another load() may follow on all
  // ranks.
  void unload();

 private:
  ReplicaSession() = default;

  ReplicaConfig config_;
  std::optional<int> num_blocks_;
  int world_size_ = 1;
  Store store_;
  std::unique_ptr<MpiSession> mpi_;
  std::unique_ptr<Communicator> group_;  // Of the MPI world.
  std::unique_ptr<Rank> mpi_rank_;
  std::unique_ptr<LocalReplica> local_;
};

}  // namespace lockstep
