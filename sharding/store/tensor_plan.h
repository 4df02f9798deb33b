// The datasets of a store, in the order of its files, and which rows of the source each of them
// holds. Pure arithmetic.
#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "sharding/store.h"
#include "sharding/store/tensor_names.h"

namespace lockstep {

// Sizes of the blobs in bytes; an empty blob has no dataset.
struct BlobSizes {
  std::uint64_t tokenizer = 0;
  std::uint64_t chat_template = 0;
};

// All datasets with `bytes` set; `file` and `offset` are 0. A matrix without rows in a part has no
// dataset there.
std::vector<StoredTensor> plan_tensors(const ModelConfig& config, std::span<const Part> parts,
                                       const ModelFormats& formats, const BlobSizes& blobs);

constexpr bool is_blob(TensorKind kind) {
  return kind == TensorKind::kTokenizer || kind == TensorKind::kChatTemplate;
}
constexpr bool is_norm(TensorKind kind) {
  return kind == TensorKind::kAttnNorm || kind == TensorKind::kFfnNorm ||
         kind == TensorKind::kOutputNorm;
}

// A matrix of the source: of a layer, or (layer -1) the embedding or the head.
enum class SourceMatrix { kLayer, kEmbedding, kHead };

// Where row `row` of a stored matrix comes from.
struct RowOrigin {
  SourceMatrix source = SourceMatrix::kLayer;
  Matrix matrix = Matrix::kQ;  // With kLayer.
  int row = 0;
};

// Where rows and columns of a stored matrix come from.
class MatrixOrigin {
 public:
  // Requires: `tensor` is a matrix of the plan of these parts.
  MatrixOrigin(const ModelConfig& config, std::span<const Part> parts, const StoredTensor& tensor);

  // Groups of 32 columns of the source.
  Range groups() const { return groups_; }
  // Nothing for a row that only pads. Requires: 0 <= row < tensor.rows.
  std::optional<RowOrigin> row(int row) const;

 private:
  // `count` rows from `first` of one source matrix.
  struct Run {
    RowOrigin origin;
    int count = 0;
  };
  void add(Matrix matrix, int first, int count);

  std::vector<Run> runs_;
  bool alternate_ = false;  // Two runs of equal length, panels of 16 rows alternating.
  int limit_ = 0;           // Rows of the source from here on only pad.
  Range groups_;
};

}  // namespace lockstep
