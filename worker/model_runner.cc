#include "worker/model_runner.h"

#include <algorithm>
#include <bit>

#include "worker/device/device_pass.h"
#include "worker/runner/forward_pass.h"

namespace lockstep {

struct ModelRunner::State {
  ModelShard shard;
  std::vector<Range> runs;
  Communicator* group;
  BlockTables tables;
  LayerHook hook;
  std::unique_ptr<StepPass> pass;
  std::vector<float> logits;  // Of all ranks, on the leader.

  State(ModelShard s, std::vector<Range> r, Communicator& g, int num_blocks)
      : shard(std::move(s)),
        runs(std::move(r)),
        group(&g),
        tables(num_blocks, static_cast<std::uint32_t>(shard.config().vocab_size)) {}

  Result<StepOutput> collect(const StepBatch& batch, std::span<const float> mine);
};

ModelRunner::ModelRunner(std::unique_ptr<State> state) : state_(std::move(state)) {}
ModelRunner::~ModelRunner() = default;

Result<std::unique_ptr<ModelRunner>> ModelRunner::create(ModelShard shard, std::vector<Range> runs,
                                                         Communicator& group,
                                                         const RunnerConfig& config) {
  if (config.device.table != nullptr) {
    auto state =
        std::make_unique<State>(std::move(shard), std::move(runs), group, config.num_blocks);
    LOCKSTEP_TRY_ASSIGN(state->pass, DevicePass::create(state->shard, state->runs, group, config),
                        "device");
    return std::unique_ptr<ModelRunner>(new ModelRunner(std::move(state)));
  }
  const KvCacheShape shape{shard.config().num_layers, config.num_blocks, shard.kv_heads().size(),
                           shard.config().head_size, shard.config().kv_bits};
  LOCKSTEP_TRY_ASSIGN(KvCache cache, KvCache::allocate(shape), "KV cache");
  auto state = std::make_unique<State>(std::move(shard), std::move(runs), group, config.num_blocks);
  state->pass =
      std::make_unique<ForwardPass>(state->shard, state->runs, group, config, std::move(cache));
  return std::unique_ptr<ModelRunner>(new ModelRunner(std::move(state)));
}

void ModelRunner::set_layer_hook(LayerHook hook) { state_->hook = std::move(hook); }
const RunnerCounts& ModelRunner::counts() const { return state_->pass->counts(); }
const ModelShard& ModelRunner::shard() const { return state_->shard; }

// Brings logits and flags of all ranks to the leader in one exchange: flags travel as the bits of
// floats.
Result<StepOutput> ModelRunner::State::collect(const StepBatch& batch,
                                               std::span<const float> mine) {
  const std::size_t sampled = batch.logit_tokens.size();
  const std::size_t sequences = batch.tables.size();
  if (group->world_size() == 1) {
    StepOutput output;
    output.logits = mine;
    for (const std::uint32_t code : pass->non_finite_codes()) output.non_finite.push_back({code});
    return output;
  }
  std::vector<float> message(mine.begin(), mine.end());
  for (const std::uint32_t code : pass->non_finite_codes()) {
    message.push_back(std::bit_cast<float>(code));
  }
  std::vector<std::size_t> counts;
  std::size_t total = 0;
  for (const Range& run : runs) {
    const auto vocab = static_cast<std::size_t>(vocab_of(shard.parts(), run).size());
    counts.push_back(sampled * vocab + sequences);
    total += counts.back();
  }
  const bool leads = group->rank() == 0;
  std::vector<float> all(leads ? total : 0);
  LOCKSTEP_TRY(group->gather(message, counts, all, 0), "logits");
  StepOutput output;
  if (!leads) return output;

  const auto vocab_size = static_cast<std::size_t>(shard.config().vocab_size);
  logits.resize(sampled * vocab_size);
  output.logits = logits;
  output.non_finite.resize(sequences);
  const float* from = all.data();
  for (const Range& run : runs) {
    const Range rows = vocab_of(shard.parts(), run);
    for (std::size_t i = 0; i < sampled; ++i) {
      std::copy_n(from, rows.size(),
                  logits.data() + i * vocab_size + static_cast<std::size_t>(rows.begin));
      from += rows.size();
    }
    for (NonFinite& first : output.non_finite) {
      const auto code = std::bit_cast<std::uint32_t>(*from++);
      if (code != 0 && (first.code == 0 || code < first.code)) first.code = code;
    }
  }
  return output;
}

Result<StepOutput> ModelRunner::execute(const StepPlan& plan) {
  LOCKSTEP_TRY_ASSIGN(const StepBatch batch, state_->tables.apply(plan), "step");
  StepPass& pass = *state_->pass;
  LOCKSTEP_TRY(pass.begin(batch), "step");
  const int layers = state_->shard.config().num_layers;
  const int stride = state_->hook ? 1 : layers;  // Somebody looks at the end of every layer.
  for (int layer = 0; layer < layers; layer += stride) {
    LOCKSTEP_TRY(pass.run_layers(layer, layer + stride), "step");
    if (!state_->hook) continue;
    LOCKSTEP_TRY_ASSIGN(const std::span<const float> hidden, pass.hidden_of(batch.traced_token),
                        "step");
    state_->hook(layer, hidden);
  }
  LOCKSTEP_TRY_ASSIGN(const std::span<const float> logits, pass.run_head(), "step");
  return state_->collect(batch, logits);
}

}  // namespace lockstep
