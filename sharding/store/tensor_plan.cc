#include "sharding/store/tensor_plan.h"

#include <array>
#include <cstdio>

#include "base/checked.h"

namespace lockstep {
namespace {

std::string numbered(const char* word, int number) {
  std::array<char, 24> text{};
  std::snprintf(text.data(), text.size(), "/%s_%02d", word, number);
  return text.data();
}

// Collects the datasets of one place ("/part_03", "/common") in order.
class Plan {
 public:
  explicit Plan(std::vector<StoredTensor>& out) : out_(out) {}

  void enter(std::string group, int part, int layer) {
    group_ = std::move(group);
    part_ = part;
    layer_ = layer;
  }

  void matrix(TensorKind kind, const char* name, WeightFormat format, Shape shape) {
    if (shape.rows == 0 || shape.k == 0) return;
    add(kind, name, format, shape, p16_bytes(format, shape.rows, shape.k));
  }

  void norm(TensorKind kind, const char* name, int k) {
    add(kind, name, WeightFormat::kF32, {1, k}, static_cast<std::uint64_t>(k) * sizeof(float));
  }

  void blob(TensorKind kind, const char* name, std::uint64_t bytes) {
    if (bytes != 0) add(kind, name, WeightFormat::kF32, {1, narrow<int>(bytes)}, bytes);
  }

 private:
  void add(TensorKind kind, const char* name, WeightFormat format, Shape shape,
           std::uint64_t bytes) {
    StoredTensor tensor;
    tensor.name = group_ + "/" + name;
    tensor.kind = kind;
    tensor.part = part_;
    tensor.layer = layer_;
    tensor.format = format;
    tensor.rows = shape.rows;
    tensor.k = shape.k;
    tensor.bytes = bytes;
    out_.push_back(std::move(tensor));
  }

  std::vector<StoredTensor>& out_;
  std::string group_;
  int part_ = -1;
  int layer_ = -1;
};

void plan_common(const ModelConfig& config, const BlobSizes& blobs, Plan& plan) {
  plan.enter("/common", -1, -1);
  plan.blob(TensorKind::kTokenizer, "tokenizer", blobs.tokenizer);
  plan.blob(TensorKind::kChatTemplate, "chat_template", blobs.chat_template);
  for (int layer = 0; layer < config.num_layers; ++layer) {
    plan.enter("/common" + numbered("layer", layer), -1, layer);
    plan.norm(TensorKind::kAttnNorm, "attn_norm", config.hidden_dim);
    plan.norm(TensorKind::kFfnNorm, "ffn_norm", config.hidden_dim);
  }
  plan.enter("/common", -1, -1);
  plan.norm(TensorKind::kOutputNorm, "output_norm", config.hidden_dim);
}

void plan_shared_kv(const ModelConfig& config, const ModelFormats& formats, int layer, Plan& plan) {
  const WeightFormat k = formats.of(Matrix::kK, layer);
  const WeightFormat v = formats.of(Matrix::kV, layer);
  const Shape one = {config.head_size, config.hidden_dim};
  if (k == v) {
    plan.matrix(TensorKind::kSharedKv, "attn_kv", k, {2 * one.rows, one.k});
  } else {
    plan.matrix(TensorKind::kSharedK, "attn_k", k, one);
    plan.matrix(TensorKind::kSharedV, "attn_v", v, one);
  }
}

struct LayerSizes {
  const ModelConfig& config;
  const Part& part;
  const ModelFormats& formats;
};

void plan_layer(const LayerSizes& in, int layer, Plan& plan) {
  const ModelConfig& config = in.config;
  const auto format = [&](Matrix matrix) { return in.formats.of(matrix, layer); };
  const int query = in.part.heads.size() * config.head_size;
  const int kv = in.part.own_kv.size() * config.head_size;
  const WeightFormat q = format(Matrix::kQ);
  if (q == format(Matrix::kK) && q == format(Matrix::kV)) {
    plan.matrix(TensorKind::kAttnQkv, "attn_qkv", q, {query + 2 * kv, config.hidden_dim});
  } else {
    plan.matrix(TensorKind::kAttnQ, "attn_q", q, {query, config.hidden_dim});
    plan.matrix(TensorKind::kAttnK, "attn_k", format(Matrix::kK), {kv, config.hidden_dim});
    plan.matrix(TensorKind::kAttnV, "attn_v", format(Matrix::kV), {kv, config.hidden_dim});
  }
  plan.matrix(TensorKind::kAttnOutput, "attn_output", format(Matrix::kOutput),
              {config.hidden_dim, query});
  const int ffn = in.part.ffn.size();
  if (format(Matrix::kGate) == format(Matrix::kUp)) {
    plan.matrix(TensorKind::kFfnGateUp, "ffn_gate_up", format(Matrix::kGate),
                {2 * ffn, config.hidden_dim});
  } else {
    plan.matrix(TensorKind::kFfnGate, "ffn_gate", format(Matrix::kGate), {ffn, config.hidden_dim});
    plan.matrix(TensorKind::kFfnUp, "ffn_up", format(Matrix::kUp), {ffn, config.hidden_dim});
  }
  plan.matrix(TensorKind::kFfnDown, "ffn_down", format(Matrix::kDown), {config.hidden_dim, ffn});
}

void plan_part(const LayerSizes& in, int index, Plan& plan) {
  const std::string group = numbered("part", index);
  if (in.part.shared_kv >= 0) {
    for (int layer = 0; layer < in.config.num_layers; ++layer) {
      plan.enter(group + "/shared_kv" + numbered("layer", layer), index, layer);
      plan_shared_kv(in.config, in.formats, layer, plan);
    }
  }
  const Shape vocab = {in.part.vocab.size(), in.config.hidden_dim};
  plan.enter(group, index, -1);
  plan.matrix(TensorKind::kTokenEmbedding, "token_embedding", in.formats.embedding, vocab);
  for (int layer = 0; layer < in.config.num_layers; ++layer) {
    plan.enter(group + numbered("layer", layer), index, layer);
    plan_layer(in, layer, plan);
  }
  plan.enter(group, index, -1);
  if (!in.config.tied_head) {
    plan.matrix(TensorKind::kOutputHead, "output_head", in.formats.head, vocab);
  }
}

}  // namespace

std::vector<StoredTensor> plan_tensors(const ModelConfig& config, std::span<const Part> parts,
                                       const ModelFormats& formats, const BlobSizes& blobs) {
  std::vector<StoredTensor> out;
  Plan plan(out);
  plan_common(config, blobs, plan);
  for (std::size_t i = 0; i < parts.size(); ++i) {
    plan_part({config, parts[i], formats}, narrow<int>(i), plan);
  }
  return out;
}

void MatrixOrigin::add(Matrix matrix, int first, int count) {
  runs_.push_back({{SourceMatrix::kLayer, matrix, first}, count});
}

MatrixOrigin::MatrixOrigin(const ModelConfig& config, std::span<const Part> parts,
                           const StoredTensor& tensor) {
  const Part& part = parts[narrow<std::size_t>(tensor.part)];
  const int head = config.head_size;
  const auto add_heads = [&](Matrix matrix, Range heads) {
    add(matrix, heads.begin * head, heads.size() * head);
  };
  const Range shared = {part.shared_kv, part.shared_kv + 1};
  limit_ = INT32_MAX;
  groups_ = {0, ceil_div(tensor.k, kGroupSize)};
  switch (tensor.kind) {
    case TensorKind::kAttnQkv:
      add_heads(Matrix::kQ, part.heads);
      add_heads(Matrix::kK, part.own_kv);
      add_heads(Matrix::kV, part.own_kv);
      return;
    case TensorKind::kAttnQ:
      add_heads(Matrix::kQ, part.heads);
      return;
    case TensorKind::kAttnK:
      add_heads(Matrix::kK, part.own_kv);
      return;
    case TensorKind::kAttnV:
      add_heads(Matrix::kV, part.own_kv);
      return;
    case TensorKind::kSharedKv:
      add_heads(Matrix::kK, shared);
      add_heads(Matrix::kV, shared);
      return;
    case TensorKind::kSharedK:
      add_heads(Matrix::kK, shared);
      return;
    case TensorKind::kSharedV:
      add_heads(Matrix::kV, shared);
      return;
    case TensorKind::kAttnOutput: {
      add(Matrix::kOutput, 0, tensor.rows);
      const int first = part.heads.begin * head / kGroupSize;
      groups_ = {first, first + ceil_div(tensor.k, kGroupSize)};
      return;
    }
    case TensorKind::kFfnGateUp:
      add(Matrix::kGate, part.ffn.begin, part.ffn.size());
      add(Matrix::kUp, part.ffn.begin, part.ffn.size());
      alternate_ = true;
      limit_ = config.ffn_dim;
      return;
    case TensorKind::kFfnGate:
    case TensorKind::kFfnUp:
      add(tensor.kind == TensorKind::kFfnGate ? Matrix::kGate : Matrix::kUp, part.ffn.begin,
          part.ffn.size());
      limit_ = config.ffn_dim;
      return;
    case TensorKind::kFfnDown:
      add(Matrix::kDown, 0, tensor.rows);
      groups_ = {part.ffn.begin / kGroupSize, part.ffn.end / kGroupSize};
      return;
    case TensorKind::kTokenEmbedding:
      runs_.push_back({{SourceMatrix::kEmbedding, {}, part.vocab.begin}, part.vocab.size()});
      return;
    case TensorKind::kOutputHead:
      runs_.push_back({{SourceMatrix::kHead, {}, part.vocab.begin}, part.vocab.size()});
      return;
    default:
      CHECK(false, "MatrixOrigin of a tensor that is no matrix");
  }
}

std::optional<RowOrigin> MatrixOrigin::row(int row) const {
  std::size_t run = 0;
  if (alternate_) {
    const int panel = row / kPanelRows;
    run = static_cast<std::size_t>(panel % 2);
    row = panel / 2 * kPanelRows + row % kPanelRows;
  } else {
    while (row >= runs_[run].count) row -= runs_[run++].count;
  }
  RowOrigin origin = runs_[run].origin;
  origin.row += row;
  if (origin.row >= limit_) return std::nullopt;
  return origin;
}

}  // namespace lockstep
