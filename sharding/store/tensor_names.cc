#include "sharding/store/tensor_names.h"

#include <algorithm>
#include <string_view>

namespace lockstep {
namespace {

constexpr std::array<std::string_view, kMatricesPerLayer> kMatrixNames = {
    "attn_q", "attn_k", "attn_v", "attn_output", "ffn_gate", "ffn_up", "ffn_down"};

const SourceTensor* find(std::span<const SourceTensor> sorted, const std::string& name) {
  const auto found = std::lower_bound(sorted.begin(), sorted.end(), name,
                                      [](const auto& t, const auto& n) { return t.name < n; });
  return found != sorted.end() && found->name == name ? &*found : nullptr;
}

Result<WeightFormat> matrix_format(std::span<const SourceTensor> tensors, const std::string& name) {
  const SourceTensor* tensor = find(tensors, name);
  if (tensor == nullptr) return Error{ErrorCode::kCorrupt, "tensor " + name + " is missing"};
  if (tensor->format == WeightFormat::kF32) {
    return Error{ErrorCode::kCorrupt, "tensor " + name + ": a matrix cannot be f32"};
  }
  return tensor->format;
}

}  // namespace

std::string matrix_name(Matrix matrix, int layer) {
  return "blk." + std::to_string(layer) + "." +
         std::string(kMatrixNames[static_cast<std::size_t>(matrix)]) + ".weight";
}

std::string norm_name(bool attention, int layer) {
  return "blk." + std::to_string(layer) + (attention ? ".attn_norm.weight" : ".ffn_norm.weight");
}

Shape matrix_shape(const ModelConfig& config, Matrix matrix) {
  const int query = config.num_heads * config.head_size;
  const int kv = config.num_kv_heads * config.head_size;
  switch (matrix) {
    case Matrix::kQ:
      return {query, config.hidden_dim};
    case Matrix::kK:
    case Matrix::kV:
      return {kv, config.hidden_dim};
    case Matrix::kOutput:
      return {config.hidden_dim, query};
    case Matrix::kGate:
    case Matrix::kUp:
      return {config.ffn_dim, config.hidden_dim};
    case Matrix::kDown:
      return {config.hidden_dim, config.ffn_dim};
  }
  return {};
}

std::vector<SourceTensor> source_tensors(const ModelConfig& config, const ModelFormats& formats,
                                         bool rope_factors) {
  std::vector<SourceTensor> out;
  const auto vector = [&](std::string name, int k) {
    out.push_back({std::move(name), WeightFormat::kF32, 1, k});
  };
  out.push_back({kEmbeddingName, formats.embedding, config.vocab_size, config.hidden_dim});
  if (!config.tied_head) {
    out.push_back({kHeadName, formats.head, config.vocab_size, config.hidden_dim});
  }
  vector(kOutputNormName, config.hidden_dim);
  if (rope_factors) vector(kRopeFactorsName, config.rotary_dims / 2);
  for (int layer = 0; layer < config.num_layers; ++layer) {
    vector(norm_name(true, layer), config.hidden_dim);
    vector(norm_name(false, layer), config.hidden_dim);
    for (int i = 0; i < kMatricesPerLayer; ++i) {
      const auto matrix = static_cast<Matrix>(i);
      const Shape shape = matrix_shape(config, matrix);
      out.push_back({matrix_name(matrix, layer), formats.of(matrix, layer), shape.rows, shape.k});
    }
  }
  std::sort(out.begin(), out.end(), [](const auto& a, const auto& b) { return a.name < b.name; });
  return out;
}

Result<ModelFormats> formats_of(const ModelConfig& config, std::span<const SourceTensor> tensors,
                                bool rope_factors) {
  ModelFormats formats;
  LOCKSTEP_TRY_ASSIGN(formats.embedding, matrix_format(tensors, kEmbeddingName), "source");
  if (!config.tied_head) {
    LOCKSTEP_TRY_ASSIGN(formats.head, matrix_format(tensors, kHeadName), "source");
  }
  for (int layer = 0; layer < config.num_layers; ++layer) {
    auto& row = formats.layers.emplace_back();
    for (std::size_t i = 0; i < row.size(); ++i) {
      const std::string name = matrix_name(static_cast<Matrix>(i), layer);
      LOCKSTEP_TRY_ASSIGN(row[i], matrix_format(tensors, name), "source");
    }
  }
  const std::vector<SourceTensor> expected = source_tensors(config, formats, rope_factors);
  for (std::size_t i = 0; i < std::min(expected.size(), tensors.size()); ++i) {
    if (expected[i] == tensors[i]) continue;
    return Error{ErrorCode::kCorrupt,
                 "source: tensor " + tensors[i].name + " does not fit the architecture; expected " +
                     expected[i].name + " [" + std::to_string(expected[i].rows) + ", " +
                     std::to_string(expected[i].k) + "]"};
  }
  if (expected.size() != tensors.size()) {
    return Error{ErrorCode::kCorrupt, "source: has " + std::to_string(tensors.size()) +
                                          " tensors, the architecture " +
                                          std::to_string(expected.size())};
  }
  return formats;
}

}  // namespace lockstep
