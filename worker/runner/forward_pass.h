// The arithmetic of one step on one rank, operation by operation. Numerics, "Quantized linear" to
// "Attention".
#pragma once

#include <atomic>
#include <cstdint>
#include <span>
#include <vector>

#include "base/thread_pool.h"
#include "worker/communicator.h"
#include "worker/kv_cache.h"
#include "worker/model_runner.h"
#include "worker/model_shard.h"
#include "worker/rope_table.h"
#include "worker/runner/activation_buffer.h"
#include "worker/runner/step_batch.h"

namespace lockstep {

class ForwardPass {
 public:
  // All but `config` and `cache` must outlive this.
  ForwardPass(const ModelShard& shard, std::span<const Range> runs, Communicator& group,
              const RunnerConfig& config, KvCache cache);

  // Sizes the buffers for the batch and looks up its hidden states: the rank that owns a row of the
  // embedding sends it.
  Status begin(const StepBatch& batch);
  // One layer: attention and feed-forward, each with its residual.
  Status run_layer(int index);
  // The logits of this rank's vocabulary rows: [logit tokens, vocab().size()].
  std::span<const float> run_head();

  std::span<const float> hidden_of(int token) const;
  // First non-finite code of each scheduled sequence on this rank.
  std::vector<std::uint32_t> non_finite_codes() const;
  const RunnerCounts& counts() const { return counts_; }
  void count_step() { ++counts_.steps; }

 private:
  // The operations that look for NaN and infinity, in the order in which they run.
  enum class Operation : std::uint32_t;

  // What to quantize, and whom to blame for a value that is not finite.
  struct QuantizedInput {
    int layer;
    Operation operation;
    const float* values;  // [tokens, stride]
    int stride;
    int k;
    int segment_groups;
  };

  const ModelConfig& model() const { return shard_.config(); }
  std::size_t num_tokens() const { return batch_->tokens.size(); }
  float* row(std::vector<float>& of, std::size_t token, int num_heads) const;

  void flag(std::size_t token, int layer, Operation operation);
  void norm(std::vector<float>& values, const float* weight);
  void quantize(const QuantizedInput& q, ActivationBuffer& out);
  void linear(const kernels::MatrixView& matrix, const ActivationBuffer& input, float* output,
              int stride);
  void project_qkv(const LayerShard& layer, int index);
  void distribute_heads(const HeadMatrix& qkv, int stride);
  void append_keys(int layer);
  void attend(int layer);
  void feed_forward(const LayerShard& layer, int index);
  Status fold_into_hidden();

  const ModelShard& shard_;
  std::span<const Range> runs_;
  std::vector<int> parts_of_rank_;
  const kernels::Backend& backend_;
  Communicator& group_;
  ThreadPool pool_;
  RopeTable rope_;
  KvCache cache_;
  RunnerCounts counts_;
  const int head_size_;
  const int padded_dim_;  // Hidden dimension, rounded up to panels: the stride of segment sums.

  const StepBatch* batch_ = nullptr;
  std::vector<float> hidden_, normed_;     // [tokens, hidden_dim]
  std::vector<float> queries_, attended_;  // [tokens, heads * head_size]
  std::vector<float> keys_, values_;       // [tokens, kv_heads * head_size]
  std::vector<float> sums_;                // [parts of the run, tokens, padded_dim]
  std::vector<float> folded_;              // [tokens, padded_dim]
  std::vector<float> linear_output_, gated_, logits_;
  std::vector<float> cosines_, sines_;  // [tokens, rotary_dims / 2]
  ActivationBuffer activations_;        // Of the residual stream.
  ActivationBuffer inner_activations_;  // Of attention and feed-forward outputs.
  std::vector<std::atomic<std::uint32_t>>
      flags_;  // One per scheduled sequence; threads lower them.
};

}  // namespace lockstep
