#include "worker/device/device_shard.h"

#include <algorithm>

#include "base/checked.h"

namespace lockstep {

using cuda::Segments;
using cuda::WeightTiles;
using kernels::MatrixView;

// Uploads one thing after the other, into memory that the shard owns.
class DeviceLoader {
 public:
  DeviceLoader(const cuda::DeviceTable& device, cuda::DeviceStream stream, std::uint8_t* staging,
               DeviceShard& target)
      : device_(device),
        stream_(stream),
        staging_(staging),
        target_(target),
        arena_(target.memory_.arena()) {}

  Status load(const ModelShard& shard, const DeviceShapes& shapes);

 private:
  template <typename T>
  Result<const T*> upload(std::span<const T> values) {
    T* memory = arena_.take<T>(values.size());
    LOCKSTEP_TRY(
        check(device_.runtime.copy_in(memory, values.data(), values.size_bytes(), stream_), "copy"),
        "upload");
    return memory;
  }
  Status check(cuda::DeviceError error, std::string_view what) const {
    return device_status(device_, error, what);
  }

  Result<Segments> make_segments(const std::vector<int>& groups);
  // Matrices of one format and width, row by row.
  Result<WeightTiles> stack_rows(std::span<const MatrixView> parts, const Segments& segments);
  // Matrices of one format and height, side by side: a segment each.
  Result<WeightTiles> join_columns(std::span<const MatrixView> parts, const Segments& segments);
  Status permute(const MatrixView& matrix, int first_segment, int num_quads,
                 const WeightTiles& target);
  WeightTiles take(WeightFormat format, int rows, const Segments& segments);
  Status load_layer(const LayerShard& from, const DeviceShapes& shapes, DeviceLayer& to);
  Status load_projections(const LayerShard& from, const DeviceShapes& shapes, DeviceLayer& to);
  Status load_gates(const LayerShard& from, DeviceLayer& to);
  Result<WeightTiles> load_vocabulary(const std::vector<VocabRows>& rows);

  const cuda::DeviceTable& device_;
  cuda::DeviceStream stream_;
  std::uint8_t* staging_;
  DeviceShard& target_;
  DeviceArena arena_;
};

Result<Segments> DeviceLoader::make_segments(const std::vector<int>& groups) {
  std::vector<std::int32_t> first_group = {0};
  std::vector<std::int32_t> first_quad = {0};
  for (const int count : groups) {
    first_group.push_back(first_group.back() + count);
    first_quad.push_back(first_quad.back() + ceil_div(count, cuda::kQuadGroups));
  }
  Segments segments;
  segments.count = static_cast<int>(groups.size());
  segments.quads = first_quad.back();
  LOCKSTEP_TRY_ASSIGN(segments.first_group, upload<std::int32_t>(first_group), "segments");
  LOCKSTEP_TRY_ASSIGN(segments.first_quad, upload<std::int32_t>(first_quad), "segments");
  return segments;
}

WeightTiles DeviceLoader::take(WeightFormat format, int rows, const Segments& segments) {
  WeightTiles tiles{nullptr, format, rows, segments};
  tiles.data = arena_.take<std::uint8_t>(cuda::weight_bytes(tiles));
  return tiles;
}

Status DeviceLoader::permute(const MatrixView& matrix, int first_segment, int num_quads,
                             const WeightTiles& target) {
  const std::size_t bytes = static_cast<std::size_t>(matrix.panels()) *
                            static_cast<std::size_t>(matrix.groups()) *
                            p16_group_bytes(matrix.format);
  LOCKSTEP_TRY(check(device_.runtime.copy_in(staging_, matrix.data, bytes, stream_), "copy"),
               "upload");
  const cuda::PermuteWeightsArgs args{staging_, matrix.groups(), first_segment, num_quads, target};
  return check(device_.operations.permute_weights(args, stream_), "permute weights");
}

Result<WeightTiles> DeviceLoader::stack_rows(std::span<const MatrixView> parts,
                                             const Segments& segments) {
  int rows = 0;
  for (const MatrixView& part : parts) {
    CHECK(part.format == parts[0].format, "a stack of matrices has one format");
    rows += part.panels() * kPanelRows;
  }
  WeightTiles whole = take(parts.empty() ? WeightFormat::kQ8_0 : parts[0].format, rows, segments);
  WeightTiles piece = whole;
  for (const MatrixView& part : parts) {
    piece.rows = part.panels() * kPanelRows;
    LOCKSTEP_TRY(permute(part, 0, segments.quads, piece), "matrix");
    piece.data += cuda::weight_bytes(piece);
  }
  return whole;
}

Result<WeightTiles> DeviceLoader::join_columns(std::span<const MatrixView> parts,
                                               const Segments& segments) {
  const WeightTiles whole = take(parts[0].format, parts[0].rows, segments);
  for (std::size_t p = 0; p < parts.size(); ++p) {
    CHECK(parts[p].format == whole.format && parts[p].rows == whole.rows,
          "parts of a matrix have one format and height");
    const int quads = ceil_div(parts[p].groups(), cuda::kQuadGroups);
    LOCKSTEP_TRY(permute(parts[p], static_cast<int>(p), quads, whole), "matrix");
  }
  return whole;
}

// One launch for each format: matrices of one format are stacked, whatever heads they are of.
Status DeviceLoader::load_projections(const LayerShard& from, const DeviceShapes& shapes,
                                      DeviceLayer& to) {
  const int heads = shapes.heads.size();
  const int kv_heads = shapes.kv_heads.size();
  std::vector<std::int32_t> columns(static_cast<std::size_t>(heads + 2 * kv_heads), -1);
  int column = 0;
  for (const WeightFormat format :
       {WeightFormat::kQ4_0, WeightFormat::kQ4_1, WeightFormat::kQ8_0}) {
    std::vector<MatrixView> same;
    DeviceProjection projection;
    projection.first_column = column;
    for (const HeadMatrix& qkv : from.qkv) {
      if (qkv.matrix.format != format) continue;
      for (const HeadRows& rows : qkv.rows) {
        const int first = rows.role == HeadRows::Role::kQuery ? 0
                          : rows.role == HeadRows::Role::kKey ? heads
                                                              : heads + kv_heads;
        for (int i = 0; i < rows.num_heads; ++i) {
          const int head = first + rows.first_head + i;
          columns[static_cast<std::size_t>(head)] =
              column + rows.first_row + i * shapes.model->head_size;
        }
      }
      same.push_back(qkv.matrix);
      column += DeviceShapes::padded_rows(qkv.matrix.rows);
    }
    if (same.empty()) continue;
    LOCKSTEP_TRY_ASSIGN(projection.matrix, stack_rows(same, target_.hidden_segments_),
                        "attention input");
    to.projections.push_back(projection);
  }
  CHECK(std::ranges::count(columns, -1) == 0, "every head has its rows");
  LOCKSTEP_TRY_ASSIGN(to.columns, upload<std::int32_t>(columns), "heads");
  return {};
}

Status DeviceLoader::load_gates(const LayerShard& from, DeviceLayer& to) {
  std::vector<MatrixView> gates;
  std::vector<MatrixView> ups;
  to.fused = from.gate_up[0].fused;
  for (const GateUp& part : from.gate_up) {
    gates.push_back(part.gate);
    ups.push_back(part.up);
  }
  LOCKSTEP_TRY_ASSIGN(to.gate, stack_rows(gates, target_.hidden_segments_), "feed-forward gate");
  if (to.fused) return {};
  LOCKSTEP_TRY_ASSIGN(to.up, stack_rows(ups, target_.hidden_segments_), "feed-forward up");
  return {};
}

Status DeviceLoader::load_layer(const LayerShard& from, const DeviceShapes& shapes,
                                DeviceLayer& to) {
  const auto dim = static_cast<std::size_t>(shapes.model->hidden_dim);
  LOCKSTEP_TRY_ASSIGN(to.attn_norm, upload(std::span(from.attn_norm, dim)), "norm");
  LOCKSTEP_TRY_ASSIGN(to.ffn_norm, upload(std::span(from.ffn_norm, dim)), "norm");
  LOCKSTEP_TRY(load_projections(from, shapes, to), "projections");
  LOCKSTEP_TRY_ASSIGN(to.attn_output, join_columns(from.attn_output, target_.attended_segments_),
                      "attention output");
  LOCKSTEP_TRY(load_gates(from, to), "gates");
  LOCKSTEP_TRY_ASSIGN(to.ffn_down, join_columns(from.ffn_down, target_.gated_segments_),
                      "feed-forward down");
  return {};
}

Result<WeightTiles> DeviceLoader::load_vocabulary(const std::vector<VocabRows>& rows) {
  std::vector<MatrixView> parts;
  for (const VocabRows& part : rows) parts.push_back(part.matrix);
  return stack_rows(parts, target_.hidden_segments_);
}

Status DeviceLoader::load(const ModelShard& shard, const DeviceShapes& shapes) {
  LOCKSTEP_TRY_ASSIGN(target_.hidden_segments_, make_segments(shapes.hidden_segments), "tables");
  LOCKSTEP_TRY_ASSIGN(target_.attended_segments_, make_segments(shapes.attended_segments),
                      "tables");
  LOCKSTEP_TRY_ASSIGN(target_.gated_segments_, make_segments(shapes.gated_segments), "tables");
  target_.layers_.resize(static_cast<std::size_t>(shapes.model->num_layers));
  for (int i = 0; i < shapes.model->num_layers; ++i) {
    LOCKSTEP_TRY(load_layer(shard.layer(i), shapes, target_.layers_[static_cast<std::size_t>(i)]),
                 "layer " + std::to_string(i));
  }
  const auto dim = static_cast<std::size_t>(shapes.model->hidden_dim);
  LOCKSTEP_TRY_ASSIGN(target_.output_norm_, upload(std::span(shard.output_norm(), dim)), "norm");
  LOCKSTEP_TRY_ASSIGN(target_.embedding_, load_vocabulary(shard.embedding()), "embedding");
  target_.head_ = target_.embedding_;
  if (!shapes.model->tied_head) {
    LOCKSTEP_TRY_ASSIGN(target_.head_, load_vocabulary(shard.head()), "head");
  }
  return check(device_.runtime.wait(stream_), "load weights");
}

Result<DeviceShard> DeviceShard::load(const cuda::DeviceTable& device, cuda::DeviceStream stream,
                                      const ModelShard& shard, const DeviceShapes& shapes,
                                      std::uint8_t* staging) {
  DeviceShard loaded;
  LOCKSTEP_TRY_ASSIGN(loaded.memory_, DeviceMemory::allocate(device, shapes.weight_bytes),
                      "weights");
  LOCKSTEP_TRY(DeviceLoader(device, stream, staging, loaded).load(shard, shapes), "weights");
  return loaded;
}

}  // namespace lockstep
