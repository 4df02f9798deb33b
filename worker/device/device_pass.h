// The arithmetic of one step on one rank with a device: ten launches a layer, and nothing is waited
// for but what other ranks, a hook or the leader want to see.
#pragma once

#include <map>
#include <memory>
#include <span>
#include <string_view>
#include <vector>

#include "worker/device/device_shard.h"
#include "worker/device/step_tables.h"
#include "worker/device/step_workspace.h"
#include "worker/rope_table.h"
#include "worker/runner/operation.h"
#include "worker/runner/step_pass.h"

namespace lockstep {

class DevicePass final : public StepPass {
 public:
  // Loads the weights onto config.device. All but `config` must outlive the pass; of `shard` only
  // shapes are needed afterwards.
  static Result<std::unique_ptr<StepPass>> create(const ModelShard& shard,
                                                  std::span<const Range> runs, Communicator& group,
                                                  const RunnerConfig& config);
  ~DevicePass() override;

  Status begin(const StepBatch& batch) override;
  Status run_layers(int first, int last) override;
  Result<std::span<const float>> run_head() override;

  Result<std::span<const float>> hidden_of(int token) override;
  std::vector<std::uint32_t> non_finite_codes() const override;
  const RunnerCounts& counts() const override { return counts_; }

 private:
  DevicePass(const ModelShard& shard, std::span<const Range> runs, Communicator& group,
             const RunnerConfig& config);
  Status load();

  const ModelConfig& model() const { return shard_.config(); }
  int num_tokens() const { return static_cast<int>(batch_->tokens.size()); }
  int padded_tokens() const { return tables_.shape.tokens; }
  Status check(cuda::DeviceError error, std::string_view what) const {
    return device_status(device_, error, what);
  }
  // For the tokens of the step; with 0 rows those of the workspace.
  cuda::ActivationTiles codes(const cuda::ActivationTiles& of,
                              const cuda::Segments& segments) const;
  cuda::NonFiniteReport report(int layer, Operation operation) const;

  // What to quantize; with a norm behind it.
  struct Quantized {
    const float* input;
    int width;  // Of the input's rows, all of it.
    cuda::ActivationTiles output;
    cuda::NonFiniteReport report;
    const float* norm = nullptr;
  };
  Status quantize(const Quantized& q);
  Status linear(const cuda::WeightTiles& weight, const cuda::ActivationTiles& input, float* output,
                int stride, cuda::LinearResult result);

  Status embed();
  Status enqueue_layers(int first, int last);
  // All layers as one graph of the step's shape, which is recorded when the shape is first met.
  Status run_graph();
  Status run_layer(int index);
  Status attend(int index);
  Status feed_forward(int index);
  // hidden += the left fold of all segment sums of all ranks.
  Status add_to_hidden(const cuda::WeightTiles& weight, const cuda::ActivationTiles& input);
  Status exchange_sums(int segments);
  Status wait(std::string_view what);  // Until all that was enqueued is done.
  Status head_rows(int begin, int count);

  const ModelShard& shard_;
  std::span<const Range> runs_;
  Communicator& group_;
  const cuda::DeviceTable& device_;
  const int device_index_;
  const std::shared_ptr<NcclExchange> exchange_;
  StepLimits limits_;
  DeviceShapes shapes_;
  std::vector<int> segments_of_rank_;  // That each rank hands to the fold.
  RopeTable rope_;
  RunnerCounts counts_;
  std::uint64_t head_multiply_adds_ = 0;  // For one token.

  cuda::DeviceStream stream_ = nullptr;
  DeviceShard weights_;
  DeviceMemory cache_memory_;
  DeviceMemory workspace_memory_;
  std::vector<cuda::KvTiles> cache_;
  StepWorkspace workspace_;

  // At most 8 numbers of tokens times the powers of two of a context's blocks.
  const bool use_graphs_;
  std::map<StepShape, cuda::DeviceGraph> graphs_;

  const StepBatch* batch_ = nullptr;
  StepTables tables_;
  std::vector<float> sums_, folded_, hidden_row_, logits_;  // On the host.
  std::vector<std::uint32_t> flags_;
};

}  // namespace lockstep
