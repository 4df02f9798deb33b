// The arithmetic of one step on one rank of CPU threads, operation by operation. Numerics,
// "Quantized linear" to "Attention".
//
// All threads of the rank go through the layers together and meet at barriers, six a layer (seven
// with a long context) when there are few tokens: norms and quantization are then done by every
// thread for itself. With more tokens than that pays for, threads share them out and meet four
// times more.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "base/thread_pool.h"
#include "worker/communicator.h"
#include "worker/kv_cache.h"
#include "worker/model_runner.h"
#include "worker/model_shard.h"
#include "worker/rope_table.h"
#include "worker/runner/activation_buffer.h"
#include "worker/runner/operation.h"
#include "worker/runner/split.h"
#include "worker/runner/step_batch.h"
#include "worker/runner/step_pass.h"

namespace lockstep {

class ForwardPass final : public StepPass {
 public:
  // All but `config` and `cache` must outlive this.
  ForwardPass(const ModelShard& shard, std::span<const Range> runs, Communicator& group,
              const RunnerConfig& config, KvCache cache);

  Status begin(const StepBatch& batch) override;
  Status run_layers(int first, int last) override;
  Result<std::span<const float>> run_head() override;

  Result<std::span<const float>> hidden_of(int token) override { return hidden_row(token); }
  std::vector<std::uint32_t> non_finite_codes() const override;
  const RunnerCounts& counts() const override { return counts_; }

 private:
  // What to quantize, and whom to blame for a value that is not finite.
  struct QuantizedInput {
    int layer;
    Operation operation;
    const float* values;  // [tokens, stride]
    int stride;
    int k;
  };

  // What a thread writes before the other threads read it; with few tokens every thread has its own
  // copy of all of it, else they share the first.
  struct Workspace {
    std::vector<float> hidden, normed;       // [tokens, hidden_dim]
    ActivationBuffer activations;            // Of the residual stream.
    std::vector<ActivationBuffer> attended;  // Of each part's share of the attention output.
    std::vector<ActivationBuffer> gated;     // Of each part's share of the feed-forward.
    ActivationBuffer head_input;
  };

  // The blocks of positions of a token whose context threads share; none: they share its heads.
  struct ContextParts {
    int first_block = 0;  // In `part_states_`.
    int blocks = 0;
  };

  const ModelConfig& model() const { return shard_.config(); }
  std::span<const float> hidden_row(int token) const;
  std::size_t num_tokens() const { return batch_->tokens.size(); }
  float* row(std::vector<float>& of, std::size_t token, int num_heads) const;
  void size_buffers();
  void plan_attention();
  void size_workspace(Workspace& workspace) const;
  Status embed();

  Workspace& workspace(int member) {
    return *workspaces_[share_tokens_ ? 0 : static_cast<std::size_t>(member)];
  }
  Range tokens_of(int member) const;  // That the member norms and quantizes.
  // Shares out panels of matrices. With many tokens every piece prepares its input anew.
  template <typename Function>
  void share_panels(int member, int num_panels, Function function) {
    const int pieces = share_tokens_ ? 6 : 10;  // Of a member's share, at most.
    sharing_.run(member, num_panels, std::max(1, num_panels / (pieces * pool_.num_threads())),
                 function);
  }
  // The same of several matrices: function(list, panels).
  template <typename SizeOf, typename Function>
  void share_lists(int member, int num_lists, SizeOf size_of, Function function) {
    share_panels(member, total_size(num_lists, size_of),
                 [&](Range range) { for_range_of_lists(num_lists, size_of, range, function); });
  }
  // Where threads share the tokens: waits until all are done with theirs.
  void finish_tokens();

  void flag(std::size_t token, int layer, Operation operation);
  void quantize(const QuantizedInput& q, Range tokens, ActivationBuffer& out);
  void count_linear(const kernels::MatrixView& matrix, std::size_t tokens);

  // What member `member` does of each operation.
  void run_layer(int member, int index);
  void norm_input(int member, const float* weight, int layer, Operation operation);
  void project_qkv(int member, const LayerShard& layer);
  void distribute_heads(std::size_t token, const LayerShard& layer);
  void append_keys(int member, int layer);
  void attend(int member, int layer);
  void attend_tokens(Range tokens, int layer);
  void attend_units(int token, Range units, int layer);
  void find_bad_queries(Range tokens, int layer);
  kernels::AttentionArgs attention_of(std::size_t token, Range heads, int layer);
  kernels::AttentionPartArgs part_of(std::size_t token, int layer);
  void project_parts(int member, const std::vector<kernels::MatrixView>& parts,
                     const std::vector<ActivationBuffer>& inputs);
  void add_to_hidden(int member);
  void gate_up(int member, const LayerShard& layer);
  void gate_up_part(const GateUp& part, Range panels, int member, int column);
  void head(int member);

  const ModelShard& shard_;
  std::span<const Range> runs_;
  std::vector<int> segments_of_rank_;  // That each rank hands to the fold.
  const kernels::Backend& backend_;
  Communicator& group_;
  ThreadPool pool_;
  WorkSharing sharing_;
  RopeTable rope_;
  KvCache cache_;
  RunnerCounts counts_;
  const int head_size_;
  const int padded_dim_;  // Hidden dimension, rounded up to panels: the stride of segment sums.
  int gated_width_ = 0;   // Of all parts of the run ...
  std::vector<int> gated_columns_;     // ... and where each one's share begins.
  std::vector<std::size_t> qkv_rows_;  // The most of any layer, of each of its matrices.
  const bool folds_own_;  // The rank's segments are the leftmost: it folds them as they come.

  const StepBatch* batch_ = nullptr;
  bool share_tokens_ = false;
  Status failure_;  // Of the group; all threads leave the layers.
  std::vector<std::unique_ptr<Workspace>> workspaces_;  // One per thread.
  std::vector<std::vector<float>> qkv_;                 // Of each matrix: [tokens, rows]
  std::vector<float> queries_, attended_;               // [tokens, heads * head_size]
  std::vector<float> keys_, values_;                    // [tokens, kv_heads * head_size]
  std::vector<ContextParts> context_parts_;             // One per token.
  bool splits_context_ = false;
  std::vector<float> part_sums_;             // [blocks, heads, head_size]
  std::vector<float> part_states_;           // [blocks, heads, 2]
  std::vector<std::vector<float>> gate_up_;  // Of each thread: [tokens of a block, 2 * width]
  std::vector<float> gated_;                 // [tokens, gated_width_]
  std::vector<float> sums_;                  // [segments for the fold, tokens, padded_dim_]
  std::vector<float> folded_;  // [tokens, padded_dim_]; alone, `sums_` is already folded.
  // Of each matrix that would write its padding over its neighbour's logits: [logit tokens, rows]
  std::vector<std::vector<float>> vocab_rows_;
  std::vector<float> logits_;
  std::vector<float> cosines_, sines_;  // [tokens, rotary_dims / 2]
  std::vector<std::atomic<std::uint32_t>>
      flags_;  // One per scheduled sequence; threads lower them.
};

}  // namespace lockstep
