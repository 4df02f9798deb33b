#include "sharding/store/stored_rows.h"

#include <algorithm>

#include "base/checked.h"
#include "sharding/gguf/float_row.h"
#include "sharding/store/p16_pack.h"
#include "sharding/store/tensor_plan.h"
#include "sharding/store/weights_root.h"

namespace lockstep {
namespace {

constexpr int kNumThreads = 2;

// A tensor of the source: what it is, and in which layer.
struct SourceKey {
  SourceMatrix source = SourceMatrix::kLayer;
  Matrix matrix = Matrix::kQ;
  int layer = -1;

  auto operator<=>(const SourceKey&) const = default;
};

// `num_rows` rows of one stored matrix, from stored row `first`, that hold columns `groups` of the
// source's rows from `source_row` on.
struct Piece {
  const StoredTensor* tensor = nullptr;
  int first = 0;
  int source_row = 0;
  int num_rows = 0;
  Range groups;
};

class StoredRows {
 public:
  StoredRows(const Manifest& manifest, const std::vector<MappedFile>& files)
      : manifest_(manifest), files_(files) {}

  // Finds every row; kCorrupt names a padding row that is not zero.
  Status index() {
    for (const StoredTensor& tensor : manifest_.tensors) {
      if (tensor.part < 0) {
        common_.emplace(std::pair(tensor.kind, tensor.layer), &tensor);
        continue;
      }
      LOCKSTEP_TRY(index_matrix(tensor), tensor.name);
    }
    for (auto& [key, pieces] : pieces_) {
      std::sort(pieces.begin(), pieces.end(),
                [](const Piece& a, const Piece& b) { return a.source_row < b.source_row; });
    }
    keys_.emplace(kEmbeddingName, SourceKey{SourceMatrix::kEmbedding, {}, -1});
    keys_.emplace(kHeadName, SourceKey{SourceMatrix::kHead, {}, -1});
    norms_.emplace(kOutputNormName, common_.at({TensorKind::kOutputNorm, -1}));
    for (int layer = 0; layer < manifest_.config.num_layers; ++layer) {
      norms_.emplace(norm_name(true, layer), common_.at({TensorKind::kAttnNorm, layer}));
      norms_.emplace(norm_name(false, layer), common_.at({TensorKind::kFfnNorm, layer}));
      for (int i = 0; i < kMatricesPerLayer; ++i) {
        const auto matrix = static_cast<Matrix>(i);
        keys_.emplace(matrix_name(matrix, layer), SourceKey{SourceMatrix::kLayer, matrix, layer});
      }
    }
    return {};
  }

  Result<ByteView> row(const SourceTensor& source, std::int64_t row, Bytes& scratch) const {
    if (source.name == kRopeFactorsName) {
      return ByteView(reinterpret_cast<const std::uint8_t*>(manifest_.rope_factors.data()),
                      manifest_.rope_factors.size() * sizeof(float));
    }
    if (const auto norm = norms_.find(source.name); norm != norms_.end()) {
      return bytes_of(*norm->second);
    }
    const std::size_t block = block_bytes(source.format);
    scratch.resize(static_cast<std::size_t>(ceil_div(source.k, kGroupSize)) * block);
    std::size_t filled = 0;
    // A row is in one piece, or, of a matrix cut along K, in as many as there are parts; those
    // begin at the same row.
    const std::vector<Piece>& pieces = pieces_.at(keys_.at(source.name));
    auto next = std::upper_bound(pieces.begin(), pieces.end(), row,
                                 [](auto r, const Piece& piece) { return r < piece.source_row; });
    CHECK(next != pieces.begin(), "a planned store holds every row");
    const int begin = std::prev(next)->source_row;
    while (next != pieces.begin() && std::prev(next)->source_row == begin) {
      const Piece& piece = *--next;
      const int stored = piece.first + static_cast<int>(row) - piece.source_row;
      unpack_row(source.format, panel_of(*piece.tensor, stored / kPanelRows), stored % kPanelRows,
                 std::span(scratch).subspan(static_cast<std::size_t>(piece.groups.begin) * block,
                                            static_cast<std::size_t>(piece.groups.size()) * block));
      filled += static_cast<std::size_t>(piece.groups.size()) * block;
    }
    CHECK(filled == scratch.size(), "a planned store holds every row once");
    return ByteView(scratch);
  }

 private:
  ByteView bytes_of(const StoredTensor& tensor) const {
    return files_[static_cast<std::size_t>(tensor.file)].bytes().subspan(tensor.offset,
                                                                         tensor.bytes);
  }

  ByteView panel_of(const StoredTensor& tensor, int panel) const {
    const std::size_t bytes = p16_bytes(tensor.format, kPanelRows, tensor.k);
    return bytes_of(tensor).subspan(static_cast<std::size_t>(panel) * bytes, bytes);
  }

  Status index_matrix(const StoredTensor& tensor) {
    const MatrixOrigin origin(manifest_.config, manifest_.parts, tensor);
    const std::vector<Piece>* last = nullptr;
    for (int row = 0; row < round_up(tensor.rows, kPanelRows); ++row) {
      const auto from = row < tensor.rows ? origin.row(row) : std::nullopt;
      if (!from) {
        last = nullptr;
        if (!is_padding_row(tensor.format, panel_of(tensor, row / kPanelRows), row % kPanelRows)) {
          return Error{ErrorCode::kCorrupt,
                       "row " + std::to_string(row) + " only pads, but is not zero"};
        }
        continue;
      }
      const SourceKey key = {from->source, from->matrix,
                             from->source == SourceMatrix::kLayer ? tensor.layer : -1};
      std::vector<Piece>& pieces = pieces_[key];
      if (last == &pieces && pieces.back().source_row + pieces.back().num_rows == from->row) {
        ++pieces.back().num_rows;
      } else {
        pieces.push_back({&tensor, row, from->row, 1, origin.groups()});
      }
      last = &pieces;
    }
    return {};
  }

  const Manifest& manifest_;
  const std::vector<MappedFile>& files_;
  std::map<SourceKey, std::vector<Piece>> pieces_;
  std::map<std::string, SourceKey> keys_;
  std::map<std::string, const StoredTensor*> norms_;
  std::map<std::pair<TensorKind, int>, const StoredTensor*> common_;
};

}  // namespace

Status check_weights_root(const Manifest& manifest, const std::vector<MappedFile>& files) {
  StoredRows rows(manifest, files);
  LOCKSTEP_TRY(rows.index(), "weights");
  LOCKSTEP_TRY_ASSIGN(const Digest root,
                      weights_root(
                          manifest.source_tensors,
                          [&](std::size_t tensor, std::int64_t row, Bytes& scratch) {
                            return rows.row(manifest.source_tensors[tensor], row, scratch);
                          },
                          kNumThreads),
                      "weights");
  if (root != manifest.weights_root) {
    return Error{ErrorCode::kCorrupt,
                 "weights_root: the files hold other weights than the manifest names"};
  }
  return {};
}

}  // namespace lockstep
