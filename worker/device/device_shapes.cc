#include "worker/device/device_shapes.h"

#include <algorithm>
#include <map>

#include "kernels/device_fragments.h"
#include "worker/device/device_cache.h"
#include "worker/device/step_workspace.h"

namespace lockstep {
namespace {

constexpr std::uint64_t kSlack = 256;  // Of what an arena hands out, at most.

int groups_of(int k) { return (k + kGroupSize - 1) / kGroupSize; }

// Segments of 1024; numerics, "Words".
std::vector<int> runs_of(int groups) {
  constexpr int kRun = kFoldSegment / kGroupSize;
  std::vector<int> segments;
  for (int left = groups; left > 0; left -= kRun) segments.push_back(std::min(left, kRun));
  return segments;
}

// Every segment but the last of a matrix is whole quads, or a part of its own.
std::uint64_t bytes_on_device(const StoredTensor& tensor) {
  if (tensor.format == WeightFormat::kF32) return tensor.bytes + kSlack;
  cuda::WeightTiles tiles;
  tiles.format = tensor.format;
  tiles.rows = tensor.rows;
  tiles.segments.quads = (groups_of(tensor.k) + cuda::kQuadGroups - 1) / cuda::kQuadGroups;
  return cuda::weight_bytes(tiles) + kSlack;
}

bool is_blob(const StoredTensor& tensor) {
  return tensor.kind == TensorKind::kTokenizer || tensor.kind == TensorKind::kChatTemplate;
}

bool is_projection(TensorKind kind) {
  switch (kind) {
    case TensorKind::kAttnQkv:
    case TensorKind::kAttnQ:
    case TensorKind::kAttnK:
    case TensorKind::kAttnV:
    case TensorKind::kSharedKv:
    case TensorKind::kSharedK:
    case TensorKind::kSharedV:
      return true;
    default:
      return false;
  }
}

}  // namespace

DeviceShapes device_shapes(const Manifest& manifest, Range run) {
  DeviceShapes shapes;
  shapes.model = &manifest.config;
  shapes.heads = heads_of(manifest.parts, run);
  shapes.kv_heads = kv_heads_of(manifest.parts, run);
  shapes.vocab = vocab_of(manifest.parts, run);
  shapes.num_parts = run.size();
  shapes.attended_width = shapes.heads.size() * shapes.model->head_size;
  shapes.hidden_segments = runs_of(groups_of(shapes.model->hidden_dim));
  for (int p = run.begin; p < run.end; ++p) {
    const Part& part = manifest.parts[static_cast<std::size_t>(p)];
    shapes.attended_segments.push_back(groups_of(part.heads.size() * shapes.model->head_size));
    shapes.gated_segments.push_back(groups_of(part.ffn.size()));
    shapes.gated_width += part.ffn.size();
  }
  std::map<int, int> columns;  // Of each layer.
  for (const StoredTensor* tensor : tensors_of(manifest, run)) {
    if (is_blob(*tensor)) continue;
    shapes.weight_bytes += bytes_on_device(*tensor);
    shapes.largest_tensor = std::max(shapes.largest_tensor, tensor->bytes);
    if (is_projection(tensor->kind)) {
      columns[tensor->layer] += DeviceShapes::padded_rows(tensor->rows);
    }
    if (tensor->kind == TensorKind::kFfnGate) shapes.gates_apart = true;
  }
  for (const auto& [layer, width] : columns) {
    shapes.qkv_columns = std::max(shapes.qkv_columns, width);
  }
  // Tables: where segments begin, and where each head's column is.
  constexpr std::uint64_t kTableBytes = 4096;
  shapes.weight_bytes += (static_cast<std::uint64_t>(shapes.num_parts) + 1024) * 64 + kTableBytes;
  const auto heads = static_cast<std::uint64_t>(shapes.heads.size()) +
                     2U * static_cast<unsigned>(shapes.kv_heads.size());
  shapes.weight_bytes +=
      static_cast<std::uint64_t>(shapes.model->num_layers) * (heads * 4 + kSlack);
  return shapes;
}

DeviceNeeds device_needs(const DeviceShapes& shapes, const StepLimits& limits) {
  DeviceArena cache;
  lay_out_cache(cache, shapes, limits);
  DeviceArena workspace;
  StepWorkspace::lay_out(workspace, shapes, limits);
  return {shapes.weight_bytes, cache.bytes_used(),
          std::max<std::uint64_t>(workspace.bytes_used(), shapes.largest_tensor)};
}

}  // namespace lockstep
