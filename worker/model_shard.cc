#include "worker/model_shard.h"

#include "base/check.h"

namespace lockstep {

using kernels::MatrixView;

MatrixView ModelShard::matrix(const StoredTensor& tensor) const {
  return MatrixView{tensors_.data(tensor), tensor.format, tensor.rows, tensor.k};
}

const float* ModelShard::vector(TensorKind kind, int layer) const {
  const StoredTensor* tensor = manifest_->find(kind, -1, layer);
  CHECK(tensor != nullptr, "a checked manifest has every norm");
  return reinterpret_cast<const float*>(tensors_.data(*tensor));
}

void ModelShard::collect_qkv(int layer) {
  using Role = HeadRows::Role;
  const int head_size = config().head_size;
  auto& qkv = layers_[static_cast<std::size_t>(layer)].qkv;
  // Adds one matrix whose rows are these heads, if the store has it.
  const auto add = [&](TensorKind kind, int part, std::vector<HeadRows> rows) {
    const StoredTensor* tensor = manifest_->find(kind, part, layer);
    if (tensor == nullptr) return false;
    int row = 0;
    for (HeadRows& heads : rows) {
      heads.first_row = row;
      row += heads.num_heads * head_size;
    }
    CHECK(row == tensor->rows, "a checked manifest has the rows of its heads");
    qkv.push_back({matrix(*tensor), std::move(rows)});
    return true;
  };
  for (int p = run_.begin; p < run_.end; ++p) {
    const Part& part = parts()[static_cast<std::size_t>(p)];
    const HeadRows q{Role::kQuery, part.heads.begin - heads_.begin, part.heads.size(), 0};
    const HeadRows k{Role::kKey, part.own_kv.begin - kv_heads_.begin, part.own_kv.size(), 0};
    const HeadRows v{Role::kValue, part.own_kv.begin - kv_heads_.begin, part.own_kv.size(), 0};
    if (add(TensorKind::kAttnQkv, p, {q, k, v})) continue;
    add(TensorKind::kAttnQ, p, {q});
    add(TensorKind::kAttnK, p, {k});
    add(TensorKind::kAttnV, p, {v});
  }
  for (int head = kv_heads_.begin; head < kv_heads_.end; ++head) {
    const int home = kv_home(parts(), head);
    if (parts()[static_cast<std::size_t>(home)].shared_kv != head) continue;
    const HeadRows k{Role::kKey, head - kv_heads_.begin, 1, 0};
    const HeadRows v{Role::kValue, head - kv_heads_.begin, 1, 0};
    if (add(TensorKind::kSharedKv, home, {k, v})) continue;
    add(TensorKind::kSharedK, home, {k});
    add(TensorKind::kSharedV, home, {v});
  }
}

void ModelShard::collect_layer(int layer) {
  LayerShard& out = layers_[static_cast<std::size_t>(layer)];
  out.attn_norm = vector(TensorKind::kAttnNorm, layer);
  out.ffn_norm = vector(TensorKind::kFfnNorm, layer);
  collect_qkv(layer);
  const auto find = [&](TensorKind kind, int part) { return manifest_->find(kind, part, layer); };
  for (int p = run_.begin; p < run_.end; ++p) {
    GateUp gate_up;
    gate_up.width = parts()[static_cast<std::size_t>(p)].ffn.size();
    const StoredTensor* fused = find(TensorKind::kFfnGateUp, p);
    gate_up.fused = fused != nullptr;
    const StoredTensor* gate = gate_up.fused ? fused : find(TensorKind::kFfnGate, p);
    const StoredTensor* up = gate_up.fused ? fused : find(TensorKind::kFfnUp, p);
    const StoredTensor* output = find(TensorKind::kAttnOutput, p);
    const StoredTensor* down = find(TensorKind::kFfnDown, p);
    CHECK(gate && up && output && down, "a checked manifest has every matrix");
    gate_up.gate = matrix(*gate);
    gate_up.up = matrix(*up);
    out.gate_up.push_back(gate_up);
    out.attn_output.push_back(matrix(*output));
    out.ffn_down.push_back(matrix(*down));
  }
}

Result<ModelShard> ModelShard::load(const Store& store, Range run, int num_threads) {
  ModelShard shard;
  shard.store_ = store;
  shard.manifest_ = &shard.store_.manifest();
  shard.run_ = run;
  shard.heads_ = heads_of(shard.parts(), run);
  shard.kv_heads_ = kv_heads_of(shard.parts(), run);
  shard.vocab_ = vocab_of(shard.parts(), run);
  const auto wanted = tensors_of(*shard.manifest_, run);
  LOCKSTEP_TRY_ASSIGN(
      shard.tensors_, store.load(wanted, num_threads),
      "load parts " + std::to_string(run.begin) + " to " + std::to_string(run.end - 1));

  shard.layers_.resize(static_cast<std::size_t>(shard.config().num_layers));
  for (int layer = 0; layer < shard.config().num_layers; ++layer) shard.collect_layer(layer);
  shard.output_norm_ = shard.vector(TensorKind::kOutputNorm, -1);
  for (int p = run.begin; p < run.end; ++p) {
    const int first_row = shard.parts()[static_cast<std::size_t>(p)].vocab.begin;
    const StoredTensor* embedding = shard.manifest_->find(TensorKind::kTokenEmbedding, p, -1);
    if (embedding == nullptr) continue;  // More parts than panels of the vocabulary.
    const StoredTensor* head = shard.config().tied_head
                                   ? embedding
                                   : shard.manifest_->find(TensorKind::kOutputHead, p, -1);
    CHECK(head != nullptr, "a checked manifest has a head");
    shard.embedding_.push_back({shard.matrix(*embedding), first_row});
    shard.head_.push_back({shard.matrix(*head), first_row});
  }
  return shard;
}

}  // namespace lockstep
