#include "worker/rank.h"

#include <bit>

#include "base/checked.h"
#include "base/thread_pool.h"
#include "worker/device/device_needs.h"
#include "worker/device/join_devices.h"
#include "worker/device_choice.h"
#include "worker/gib.h"
#include "worker/kv_cache.h"

namespace lockstep {
namespace {

// The first byte of what the leader sends.
enum class Command : std::uint8_t { kStep = 1, kReport = 2, kStop = 3 };

// The KV cache must fit into what the node can give, shared among its ranks.
Status check_memory(const KvCacheShape& shape, int ranks_on_node) {
  LOCKSTEP_TRY_ASSIGN(const std::uint64_t bytes, shape.bytes(), "KV cache");
  const std::uint64_t share = available_memory_bytes() / static_cast<std::uint64_t>(ranks_on_node);
  if (bytes > share) {
    return Error{ErrorCode::kExhausted, "the KV cache of " + std::to_string(shape.num_blocks) +
                                            " blocks needs " + gib(bytes) + ", this rank may use " +
                                            gib(share) + "; ask for a smaller --ctx-size"};
  }
  return {};
}

// Everything that must be equal on all ranks, hashed.
Digest config_digest(const ReplicaConfig& config, const Manifest& manifest) {
  Bytes bytes(manifest.manifest_hash.bytes.begin(), manifest.manifest_hash.bytes.end());
  for (const double weight : config.weights) append_le(bytes, weight);
  append_le(bytes, config.context_tokens);
  append_le(bytes, config.num_blocks);
  append_le(bytes, config.max_step_tokens);
  append_le(bytes, config.chunk_tokens);
  return sha256(bytes);
}

Status check_alike(const Digest& mine, Communicator& group) {
  Bytes leaders(mine.bytes.begin(), mine.bytes.end());
  LOCKSTEP_TRY(group.broadcast(leaders), "compare configurations");
  Status status;
  if (!std::equal(leaders.begin(), leaders.end(), mine.bytes.begin(), mine.bytes.end())) {
    status = Error{ErrorCode::kInvalidArgument,
                   "its model or its options differ from rank 0's: start all ranks alike"};
  }
  return agree(group, status);
}

Bytes command(Command kind) { return {static_cast<std::uint8_t>(kind)}; }

}  // namespace

Status Rank::prepare() {
  const ModelConfig& model = manifest().config;
  const auto context = static_cast<std::uint32_t>(model.context_length);
  if (config_.context_tokens > context) {
    return Error{ErrorCode::kInvalidArgument, "--ctx-size: the model's context is " +
                                                  std::to_string(context) + " tokens, got " +
                                                  std::to_string(config_.context_tokens)};
  }
  if (config_.context_tokens == 0) config_.context_tokens = context;
  if (config_.num_blocks == 0) {
    config_.num_blocks =
        static_cast<int>(ceil_div<std::uint32_t>(config_.context_tokens, kBlockTokens));
  }
  LOCKSTEP_TRY_ASSIGN(
      runs_,
      assign_parts(narrow<int>(manifest().parts.size()), group_.world_size(), config_.weights),
      manifest().source_name);
  return {};
}

Result<std::unique_ptr<Rank>> Rank::start(const Store& store, const ReplicaConfig& config,
                                          Communicator& group) {
  set_canonical_float_mode();
  std::unique_ptr<Rank> rank(new Rank(store, config, group));
  LOCKSTEP_TRY(agree(group, rank->prepare()), "start");
  LOCKSTEP_TRY(check_alike(config_digest(rank->config_, rank->manifest()), group), "start");

  const ReplicaConfig& c = rank->config_;
  DeviceChoice choice;
  const auto choose = [&]() -> Status {
    LOCKSTEP_TRY_ASSIGN(choice, choose_device(c.device, c.cuda_plugin, c.local_rank), "device");
    choice.device.graphs = c.cuda_graphs;
    rank->device_ = choice.name;
    return {};
  };
  LOCKSTEP_TRY(agree(group, choose()), "start");
  RunnerConfig runner{choice.backend, choice.device, c.max_step_tokens, c.context_tokens,
                      c.num_blocks,   c.threads,     c.placement};
  runner.exchange = join_devices({choice.device, c.nccl}, group);
  // The leftmost rank folds its own segments.
  for (const Range& run : rank->runs_) runner.segments_of_rank.push_back(run.size());
  runner.segments_of_rank[0] = 1;

  const auto load = [&]() -> Status {
    const Range run = rank->runs_[static_cast<std::size_t>(group.rank())];
    const ModelConfig& model = rank->manifest().config;
    const KvCacheShape shape{model.num_layers, c.num_blocks,
                             kv_heads_of(rank->manifest().parts, run).size(), model.head_size,
                             model.kv_bits};
    if (choice.device.table != nullptr) {
      // A launcher that shows a rank one device has most likely given it that one for itself.
      const int ranks = choice.num_devices > 1 ? c.ranks_on_node : c.ranks_in_process;
      const int sharers = ceil_div(ranks, choice.num_devices);
      LOCKSTEP_TRY(check_device_memory(rank->manifest(), run, runner, sharers), "memory");
    } else {
      LOCKSTEP_TRY(check_memory(shape, c.ranks_on_node), "memory");
    }
    LOCKSTEP_TRY_ASSIGN(ModelShard shard, ModelShard::load(rank->store_, run, c.threads),
                        rank->store_.directory());
    LOCKSTEP_TRY_ASSIGN(
        rank->runner_, ModelRunner::create(std::move(shard), rank->runs_, group, runner), "runner");
    return {};
  };
  LOCKSTEP_TRY(agree(group, load()), "start");
  return rank;
}

Status Rank::follow() {
  for (;;) {
    Bytes message;
    LOCKSTEP_TRY(group_.broadcast(message), "wait for the leader");
    if (message.empty()) return Error{ErrorCode::kCorrupt, "an empty message of the leader"};
    const ByteView body = ByteView(message).subspan(1);
    switch (static_cast<Command>(message[0])) {
      case Command::kStop:
        return {};
      case Command::kReport: {
        LOCKSTEP_TRY_ASSIGN([[maybe_unused]] const auto reports, exchange_reports(), "report");
        break;
      }
      case Command::kStep: {
        LOCKSTEP_TRY_ASSIGN(const StepPlan plan, decode_plan(body), "step");
        LOCKSTEP_TRY_ASSIGN([[maybe_unused]] const auto output, runner_->execute(plan), "step");
        break;
      }
      default:
        return Error{ErrorCode::kCorrupt, "an unknown message of the leader"};
    }
  }
}

Result<StepOutput> Rank::lead_step(const StepPlan& plan) {
  Bytes message = command(Command::kStep);
  const Bytes encoded = encode_plan(plan);
  message.insert(message.end(), encoded.begin(), encoded.end());
  LOCKSTEP_TRY(group_.broadcast(message), "send the plan");
  return runner_->execute(plan);
}

Status Rank::lead_stop() {
  Bytes message = command(Command::kStop);
  return group_.broadcast(message);
}

Result<std::vector<RankReport>> Rank::lead_report() {
  Bytes message = command(Command::kReport);
  LOCKSTEP_TRY(group_.broadcast(message), "ask for reports");
  return exchange_reports();
}

Result<std::vector<RankReport>> Rank::exchange_reports() {
  // Counters travel as the bits of two floats each.
  constexpr std::size_t kCounters = 4;
  const RunnerCounts& counts = runner_->counts();
  const std::uint64_t mine[kCounters] = {runner_->shard().weight_bytes(),
                                         runner_->shard().bytes_read(), counts.multiply_adds,
                                         counts.linear_calls};
  std::vector<float> words;
  for (const std::uint64_t counter : mine) {
    words.push_back(std::bit_cast<float>(static_cast<std::uint32_t>(counter)));
    words.push_back(std::bit_cast<float>(static_cast<std::uint32_t>(counter >> 32)));
  }
  const std::vector<std::size_t> sizes(runs_.size(), words.size());
  std::vector<float> all(words.size() * runs_.size());
  LOCKSTEP_TRY(group_.gather(words, sizes, all, kAllRanks), "counters");
  std::vector<RankReport> reports;
  for (std::size_t r = 0; r < runs_.size(); ++r) {
    const auto counter = [&](std::size_t i) {
      const float* at = all.data() + (r * kCounters + i) * 2;
      return (std::uint64_t{std::bit_cast<std::uint32_t>(at[1])} << 32) |
             std::bit_cast<std::uint32_t>(at[0]);
    };
    reports.push_back({runs_[r], counter(0), counter(1), counter(2), counter(3)});
  }
  return reports;
}

}  // namespace lockstep
