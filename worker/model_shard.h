// The weights of one rank: the matrices of its run of parts, the shared key/value heads it needs,
// and the norms.
#pragma once

#include <cstdint>
#include <vector>

#include "kernels/ops.h"
#include "sharding/store.h"

namespace lockstep {

// A stored matrix whose rows go to several places: rows [begin, end) of a linear's output are
// `head_count` heads of queries, keys or values.
struct HeadRows {
  enum class Role : std::uint8_t { kQuery, kKey, kValue };
  Role role{};
  int first_head = 0;  // In the rank's own numbering.
  int num_heads = 0;
  int first_row = 0;  // Of the matrix.
};

struct HeadMatrix {
  kernels::MatrixView matrix;
  std::vector<HeadRows> rows;
};

// Gate and up of one part: one matrix with alternating panels, or two.
struct GateUp {
  kernels::MatrixView gate;  // With `fused`, both.
  kernels::MatrixView up;
  bool fused = false;
  int width = 0;  // Columns of the part's hidden layer, a multiple of 32.
};

struct LayerShard {
  const float* attn_norm = nullptr;  // [hidden_dim]
  const float* ffn_norm = nullptr;   // [hidden_dim]
  std::vector<HeadMatrix> qkv;
  std::vector<kernels::MatrixView>
      attn_output;              // One per part of the run: [hidden_dim, heads * head_size]
  std::vector<GateUp> gate_up;  // One per part of the run.
  std::vector<kernels::MatrixView> ffn_down;  // One per part of the run: [hidden_dim, width]
};

// A run of vocabulary rows.
struct VocabRows {
  kernels::MatrixView matrix;
  int first_row = 0;  // In the vocabulary.
};

class ModelShard {
 public:
  // Reads and checks what the run of parts needs, nothing else, with `num_threads` threads.
  static Result<ModelShard> load(const Store& store, Range run, int num_threads = 1);

  const Manifest& manifest() const { return *manifest_; }
  const ModelConfig& config() const { return manifest_->config; }
  const std::vector<Part>& parts() const { return manifest_->parts; }
  Range run() const { return run_; }
  Range heads() const { return heads_; }
  Range kv_heads() const { return kv_heads_; }
  Range vocab() const { return vocab_; }
  const LayerShard& layer(int index) const { return layers_[static_cast<std::size_t>(index)]; }
  const std::vector<VocabRows>& embedding() const { return embedding_; }
  const std::vector<VocabRows>& head() const { return head_; }
  const float* output_norm() const { return output_norm_; }
  std::uint64_t bytes_read() const { return tensors_.bytes_read(); }
  std::uint64_t weight_bytes() const { return tensors_.weight_bytes(); }

 private:
  ModelShard() = default;
  kernels::MatrixView matrix(const StoredTensor& tensor) const;
  const float* vector(TensorKind kind, int layer) const;
  void collect_qkv(int layer);
  void collect_layer(int layer);

  Store store_;  // Keeps the manifest alive.
  const Manifest* manifest_ = nullptr;
  LoadedTensors tensors_;
  Range run_;
  Range heads_;
  Range kv_heads_;
  Range vocab_;
  std::vector<LayerShard> layers_;
  std::vector<VocabRows> embedding_;
  std::vector<VocabRows> head_;
  const float* output_norm_ = nullptr;
};

}  // namespace lockstep
