#include "cli/replica_session.h"

#include <sched.h>

#include <algorithm>

#include "base/checked.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/process.h"
#include "cli/options.h"
#include "worker/rank_processes.h"

namespace lockstep {
namespace {

constexpr int kMaxRanks = 4096;

MpiTransport transport_of(const std::string& name) {
  if (name == "shm") return MpiTransport::kSharedMemory;
  if (name == "mpi") return MpiTransport::kCollectives;
  return MpiTransport::kAuto;
}

}  // namespace

int available_cores() {
  cpu_set_t mask;
  CPU_ZERO(&mask);
  if (sched_getaffinity(0, sizeof mask, &mask) != 0) return 1;
  return std::max(1, CPU_COUNT(&mask));
}

CLI::Option* add_cuda_plugin_option(CLI::App& command, std::string& plugin) {
  return add_text(
             command, "--cuda-plugin", plugin,
             "The library that computes on CUDA devices. [lockstep-cuda.so beside the executable]")
      ->type_name("FILE");
}

void add_replica_options(CLI::App& command, ReplicaOptions& options, bool with_threads) {
  const std::string group = "Parallelism";
  add_text(command, "--model", options.model, "A store made by `lockstep shard`.")
      ->type_name("DIR");
  add_integer(command, "--ranks", options.ranks, {1, kMaxRanks},
              "Ranks that share the model, 1 to its number of parts. [1, or MPI's]")
      ->group(group);
  add_list(command, "--weights", options.weights, {1e-6, 1e6},
           "Share of each rank; uneven is fine. [equal]")
      ->type_name("W,W,...")
      ->group(group);
  if (with_threads) {
    add_integer(command, "--threads", options.threads, {1, 1024},
                "Compute threads per rank. [cores of the affinity mask / ranks on this node]")
        ->group(group);
  }
  add_text(command, "--device", options.device,
           "auto, cuda, cpu, cpu:reference, cpu:avx2 or cpu:avx512vnni.")
      ->type_name("NAME")
      ->group(group);
  add_cuda_plugin_option(command, options.cuda_plugin)->group(group);
  add_choice(command, "--cuda-graphs", options.cuda_graphs, {"on", "off"},
             "Launch steps of up to 32 tokens as CUDA graphs; off for debugging.")
      ->group(group);
  add_text(command, "--nccl", options.nccl,
           "The library by which CUDA devices exchange, where it is found; off: through the host. "
           "[libnccl.so.2]")
      ->type_name("FILE")
      ->group(group);
  add_integer(command, "--ctx-size", options.context_tokens, {0, 1U << 24},
              "Prompt and completion tokens together, at most; 0 is the model's context.")
      ->group(group);
  add_integer(command, "--chunk", options.chunk_tokens, {1, 65536},
              "Prompt tokens of one step, at most.")
      ->group(group);
  add_choice(command, "--transport", options.transport, {"auto", "shm", "mpi"},
             "How MPI ranks exchange: shm on one node, mpi across nodes.")
      ->group(group);
}

Result<std::unique_ptr<ReplicaSession>> ReplicaSession::open(const ReplicaOptions& options) {
  if (options.model.empty()) {
    return Error{ErrorCode::kInvalidArgument, "--model: expected a store made by `lockstep shard`"};
  }
  std::unique_ptr<ReplicaSession> session(new ReplicaSession);
  ReplicaConfig& config = session->config_;
  config.weights = options.weights;
  config.device = options.device;
  config.cuda_plugin = options.cuda_plugin;
  config.cuda_graphs = options.cuda_graphs == "on";
  config.nccl = options.nccl;
  config.context_tokens = options.context_tokens;
  config.chunk_tokens = options.chunk_tokens;
  config.max_step_tokens = std::max(config.max_step_tokens, options.chunk_tokens);

  Status status;
  if (started_by_mpi_launcher()) {
    LOCKSTEP_TRY_ASSIGN(session->mpi_, MpiSession::start(), "MPI");
    const NodePlace place = session->mpi_->place();
    config.ranks_on_node = place.ranks_on_node;
    config.local_rank = place.local_rank;
    config.threads = options.threads.value_or(std::max(1, available_cores() / place.sharers));
    config.placement = share_processors(config.threads, place.index, place.sharers);
    LOCKSTEP_TRY_ASSIGN(session->group_,
                        session->mpi_->make_communicator(transport_of(options.transport),
                                                         config.placement.exclusive),
                        "--transport " + options.transport);
    session->world_size_ = session->mpi_->world_size();
    if (options.ranks && *options.ranks != session->world_size_) {
      status = Error{ErrorCode::kInvalidArgument,
                     "--ranks: MPI started " + std::to_string(session->world_size_) +
                         " ranks, got " + std::to_string(*options.ranks) + "; leave it out"};
    }
  } else {
    session->world_size_ =
        options.ranks.value_or(options.weights.empty() ? 1 : narrow<int>(options.weights.size()));
    config.ranks_on_node = session->world_size_;
    config.threads =
        options.threads.value_or(std::max(1, available_cores() / session->world_size_));
  }
  if (status.ok()) {
    auto store = Store::open(options.model);
    if (store.ok()) {
      session->store_ = std::move(store).value();
    } else {
      status = std::move(store).error();
    }
  }
  if (session->group_ != nullptr) status = agree(*session->group_, status);
  if (!status.ok()) return std::move(status).error();
  return session;
}

ReplicaSession::~ReplicaSession() { unload(); }

void ReplicaSession::unload() {
  if (mpi_rank_ != nullptr && leads()) (void)mpi_rank_->lead_stop();
  mpi_rank_.reset();
  local_.reset();
}

bool ReplicaSession::leads() const { return group_ == nullptr || group_->rank() == 0; }

Status ReplicaSession::load(const Status& ready, int num_sequences) {
  const ModelConfig& model = store_.manifest().config;
  const std::uint32_t context = config_.context_tokens != 0
                                    ? config_.context_tokens
                                    : static_cast<std::uint32_t>(model.context_length);
  const int blocks = static_cast<int>(ceil_div<std::uint32_t>(context, kBlockTokens));
  config_.num_blocks = num_blocks_ ? *num_blocks_ : num_sequences * blocks;
  unload();
  if (group_ == nullptr) {
    if (!ready.ok()) return ready;
    LOCKSTEP_TRY_ASSIGN(local_, LocalReplica::start(store_, config_, world_size_), "load");
    return {};
  }
  const Status all_ready = agree(*group_, leads() ? ready : Status());
  if (!all_ready.ok()) return leads() ? ready : all_ready;
  LOCKSTEP_TRY_ASSIGN(mpi_rank_, Rank::start(store_, config_, *group_), "load");
  return {};
}

Result<std::vector<RankProcess>> ReplicaSession::processes() {
  if (group_ != nullptr) return exchange_processes(*group_, this_process());
  return std::vector<RankProcess>(static_cast<std::size_t>(world_size_), this_process());
}

Result<std::unique_ptr<RankBeats>> ReplicaSession::start_beats(
    const std::vector<RankProcess>& processes, const RankBeatsConfig& config) {
  if (group_ == nullptr) return std::unique_ptr<RankBeats>();
  return RankBeats::start(*group_, processes, config, system_clock());
}

Status ReplicaSession::follow() {
  const Status status = mpi_rank_->follow();
  // The others cannot go on without this rank; MPI can only end them.
  if (!status.ok()) group_->abort(status.error().message);
  return status;
}

Rank& ReplicaSession::rank() { return local_ != nullptr ? local_->leader() : *mpi_rank_; }

}  // namespace lockstep
