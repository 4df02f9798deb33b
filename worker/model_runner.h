// One forward pass of one batch on one rank: embedding, layers, head. Owns the rank's KV cache and
// the block tables that the plans build up. One thread calls it; its pool does the work.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "base/thread_pool.h"
#include "kernels/backend.h"
#include "kernels/device_table.h"
#include "scheduler/step_plan.h"
#include "worker/communicator.h"
#include "worker/model_shard.h"

namespace lockstep {

// Where a value that is NaN or infinite was first seen in a sequence: layer and operation, ordered
// as they run.
struct NonFinite {
  std::uint32_t code = 0;  // 0: everything was finite.

  bool found() const { return code != 0; }
  // "layer 7, feed-forward input". Requires: found().
  std::string description(int num_layers) const;
};

// What the leader gets from a step, in the order of the plan (decodes, then prefills).
struct StepOutput {
  // [tokens whose logits the plan wants, vocab_size]; the runner's own, until its next step.
  std::span<const float> logits;
  std::vector<NonFinite> non_finite;  // One per scheduled sequence.
};

// What this rank did, for showing that the work is shared.
struct RunnerCounts {
  std::uint64_t multiply_adds = 0;  // In quantized linears: tokens * rows * k, padding left out.
  std::uint64_t linear_calls = 0;
  std::uint64_t steps = 0;
};

// A device that a table of functions stands for (kernels/device_table.h).
struct DeviceTarget {
  const cuda::DeviceTable* table = nullptr;
  int index = 0;
  bool graphs = true;  // Steps of few tokens are recorded once and then launched as a whole.
};

class NcclExchange;

// How one rank computes.
struct RunnerConfig {
  const kernels::Backend* backend = nullptr;
  DeviceTarget device;               // With a table: instead of `backend`.
  int max_step_tokens = 512;         // What a device has room for.
  std::uint32_t context_tokens = 0;  // Likewise: of one sequence.
  int num_blocks = 0;                // KV blocks.
  int threads = 1;
  ThreadPlacement placement;
  // Between the devices of all ranks. Null: sums go through the host's memory and the communicator.
  std::shared_ptr<NcclExchange> exchange = nullptr;
  std::vector<int> segments_of_rank = {};  // That each rank hands to a fold.
};

class ModelRunner {
 public:
  // `group` must outlive the runner; `runs` are the parts of each rank, in order of rank.
  static Result<std::unique_ptr<ModelRunner>> create(ModelShard shard, std::vector<Range> runs,
                                                     Communicator& group,
                                                     const RunnerConfig& config);
  ~ModelRunner();

  // Carries out the plan together with the other ranks; every rank calls it with the same plan. The
  // output is complete on rank 0 only. kInvalidArgument when the plan does not fit (a block or
  // token out of range): a bug of the leader.
  Result<StepOutput> execute(const StepPlan& plan);

  // Hands out each layer's hidden state of the last token of a step: (layer, values [hidden_dim]).
  using LayerHook = std::function<void(int layer, std::span<const float> hidden)>;
  void set_layer_hook(LayerHook hook);

  const RunnerCounts& counts() const;
  const ModelShard& shard() const;

 private:
  struct State;
  explicit ModelRunner(std::unique_ptr<State> state);
  std::unique_ptr<State> state_;
};

}  // namespace lockstep
