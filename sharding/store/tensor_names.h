// The tensors of the `llama` architecture: their GGUF names and shapes, and the format of each.
// What a source must hold, what `config_hash` lists, and what the plan of a store is made from.
#pragma once

#include <array>
#include <span>
#include <string>
#include <vector>

#include "base/p16.h"
#include "base/result.h"
#include "sharding/store.h"

namespace lockstep {

// The matrices of a layer, in the order of use.
enum class Matrix { kQ, kK, kV, kOutput, kGate, kUp, kDown };

inline constexpr int kMatricesPerLayer = 7;

// Formats of all matrices of a model.
struct ModelFormats {
  WeightFormat embedding = WeightFormat::kQ8_0;
  WeightFormat head = WeightFormat::kQ8_0;  // Unused when tied.
  std::vector<std::array<WeightFormat, kMatricesPerLayer>> layers;

  WeightFormat of(Matrix matrix, int layer) const {
    return layers[static_cast<std::size_t>(layer)][static_cast<std::size_t>(matrix)];
  }
};

inline constexpr const char* kEmbeddingName = "token_embd.weight";
inline constexpr const char* kHeadName = "output.weight";
inline constexpr const char* kOutputNormName = "output_norm.weight";
inline constexpr const char* kRopeFactorsName = "rope_freqs.weight";

std::string matrix_name(Matrix matrix, int layer);  // "blk.7.attn_q.weight"
std::string norm_name(bool attention,
                      int layer);  // "blk.7.attn_norm.weight", "blk.7.ffn_norm.weight"

// Logical rows and columns.
struct Shape {
  int rows = 0;
  int k = 0;
};
Shape matrix_shape(const ModelConfig& config, Matrix matrix);

// Every tensor that a source of this architecture has, sorted by name, bytewise.
std::vector<SourceTensor> source_tensors(const ModelConfig& config, const ModelFormats& formats,
                                         bool rope_factors);

// The inverse. kCorrupt names the tensor that is missing, too much, or of another shape or format.
Result<ModelFormats> formats_of(const ModelConfig& config, std::span<const SourceTensor> tensors,
                                bool rope_factors);

}  // namespace lockstep
