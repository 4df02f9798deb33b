// Quantized linear for few tokens: every byte of the weights is read once, and nothing else counts.
//
// A task is one panel of 16 rows times one segment; a warp has a pipeline of its own that copies
// quads of weights to shared memory, from where each lane takes exactly the operands of its
// mma.m16n8k32. Activations come from the first-level cache, in the same order. The warps of a
// block have all segments of some panels, so the block folds them itself.
#include "kernels/cuda/launchers.h"
#include "kernels/cuda/linear_group.h"
#include "kernels/cuda/numerics.h"

namespace lockstep::cuda {
namespace {

constexpr int kStages = 4;     // Of a warp's pipeline; all but one are under way.
constexpr int kMaxWarps = 16;  // Of a block.
constexpr int kSumsOfTile = kPanelRows * kTileTokens;
constexpr std::size_t kMostShared = 96 * 1024;  // What every device has, or two blocks of an sm_90.

// What a block does; the same for all blocks of a launch.
struct FewShape {
  int panels;  // Of a block.
  int warps;
};

// Starts copying one quad; the lanes of a warp share the work.
template <WeightFormat kFormat>
__device__ __forceinline__ void copy_quad(std::uint8_t* shared, const std::uint8_t* quad,
                                          unsigned lane) {
  constexpr unsigned kBytes = weight_quad_bytes(kFormat);
#pragma unroll
  for (unsigned offset = 0; offset < kBytes; offset += 512) {
    const unsigned at = offset + lane * 16;
    if (at < kBytes) copy_async<16>(shared + at, quad + at);
  }
}

// Where a lane finds its share of the activations of one tile.
struct TileSource {
  const std::uint8_t* codes;  // Of the lane, in the first group.
  const std::int32_t* sums;   // Of tokens 2 t and 2 t + 1, in the first group.
  const float* group_scales;  // Likewise; 8-bit only.
};

template <int kBits>
__device__ __forceinline__ TileSource tile_source(const ActivationTiles& input, int tile,
                                                  unsigned lane) {
  const std::size_t first = static_cast<std::size_t>(tile) * input.groups();
  const std::size_t pair = first * kTileTokens + lane % 4 * 2;
  return {input.codes + (first * 32 + lane) * activation_lane_bytes(kBits), input.sums + pair,
          kBits == 8 ? input.scales + pair : nullptr};
}

template <int kBits>
__device__ __forceinline__ TokenGroup load_tokens(const TileSource& source, int group) {
  TokenGroup tokens;
  load_codes<kBits>(
      source.codes + static_cast<std::size_t>(group) * 32 * activation_lane_bytes(kBits), &tokens);
  const std::size_t at = static_cast<std::size_t>(group) * kTileTokens;
  tokens.sums[0] = source.sums[at];
  tokens.sums[1] = source.sums[at + 1];
  if constexpr (kBits == 8) {
    tokens.scales[0] = source.group_scales[at];
    tokens.scales[1] = source.group_scales[at + 1];
  }
  return tokens;
}

// One quad of weights times all tiles.
template <WeightFormat kFormat, int kBits, int kTiles>
__device__ __forceinline__ void multiply_quad(const std::uint8_t* shared, int first_group,
                                              const TileSource (&sources)[kTiles], unsigned lane,
                                              float (&acc)[kTiles][4]) {
  const WeightQuad<kFormat> quad = load_quad<kFormat>(shared, lane);
#pragma unroll
  for (int j = 0; j < kQuadGroups; ++j) {
    std::uint32_t a[4];
    unpack_codes<kFormat>(quad, j, a);
    const float d[2] = {half_of(quad.scales, j, false), half_of(quad.scales, j, true)};
    float m[2] = {0.0F, 0.0F};
    if constexpr (kFormat == WeightFormat::kQ4_1) {
      m[0] = half_of(quad.minimums, j, false);
      m[1] = half_of(quad.minimums, j, true);
    }
#pragma unroll
    for (int i = 0; i < kTiles; ++i) {
      add_group<kFormat, kBits>(a, d, m, load_tokens<kBits>(sources[i], first_group + j), acc[i]);
    }
  }
}

// A segment of a panel: what a warp works on at a time.
struct Task {
  const std::uint8_t* weights;
  int segment;
  int first_quad;
  int num_quads;
};

template <WeightFormat kFormat>
__device__ __forceinline__ Task task_of(const LinearArgs& args, int panel, int segment) {
  const Segments& segments = args.weight.segments;
  const int first = segments.first_quad[segment];
  return {args.weight.data + (static_cast<std::size_t>(panel) * segments.quads + first) *
                                 weight_quad_bytes(kFormat),
          segment, first, segments.first_quad[segment + 1] - first};
}

// Puts the first quads under way.
template <WeightFormat kFormat>
__device__ __forceinline__ void start_copies(const Task& task, std::uint8_t* pipeline) {
  constexpr int kQuadBytes = weight_quad_bytes(kFormat);
  for (int q = 0; q < kStages - 1; ++q) {
    if (q < task.num_quads) {
      copy_quad<kFormat>(pipeline + q * kQuadBytes,
                         task.weights + static_cast<std::size_t>(q) * kQuadBytes, threadIdx.x % 32);
    }
    commit_copies();
  }
}

// The sums of one task, [tile][row][token] in `sums`. Its copies have been started.
template <WeightFormat kFormat, int kBits, int kTiles>
__device__ void run_task(const LinearArgs& args, const Task& task, int first_tile,
                         std::uint8_t* pipeline, float* sums) {
  constexpr int kQuadBytes = weight_quad_bytes(kFormat);
  const unsigned lane = threadIdx.x % 32;
  TileSource sources[kTiles];
  float acc[kTiles][4] = {};
#pragma unroll
  for (int i = 0; i < kTiles; ++i) {
    sources[i] = tile_source<kBits>(args.input, first_tile + i, lane);
  }
  for (int q = 0; q < task.num_quads; ++q) {
    wait_copies<kStages - 2>();
    __syncwarp();  // Scales were copied by other lanes, and the oldest stage has been read.
    const int next = q + kStages - 1;
    if (next < task.num_quads) {
      copy_quad<kFormat>(pipeline + next % kStages * kQuadBytes,
                         task.weights + static_cast<std::size_t>(next) * kQuadBytes, lane);
    }
    commit_copies();
    multiply_quad<kFormat, kBits, kTiles>(pipeline + q % kStages * kQuadBytes,
                                          (task.first_quad + q) * kQuadGroups, sources, lane, acc);
  }
  __syncwarp();  // The next task may fill the pipeline.
#pragma unroll
  for (int i = 0; i < kTiles; ++i) {
    const int column = static_cast<int>(lane) % 4 * 2;
    float scales[2] = {1.0F, 1.0F};
    if constexpr (kBits == 16) {
      const float* of_tile =
          args.input.scales +
          (static_cast<std::size_t>(first_tile + i) * args.input.scale_runs() + task.segment) *
              kTileTokens +
          column;
      scales[0] = of_tile[0];
      scales[1] = of_tile[1];
    }
    float* target = sums + i * kSumsOfTile + static_cast<int>(lane) / 4 * kTileTokens + column;
    for (int j = 0; j < 4; ++j) {
      const float p = kBits == 16 ? acc[i][j] * scales[j % 2] : acc[i][j];
      target[j / 2 * 8 * kTileTokens + j % 2] = p;
    }
  }
}

// What the threads of a block write of one output, from the sums of its segments.
struct FoldedSums {
  const float* sums;  // [segment of the panel][tiles][16][8]: of the output
  int stride;         // From segment to segment.
  int count;

  __device__ __forceinline__ float fold(float start, int first) const {
    float total = start;
    for (int s = first; s < count; ++s) total = total + sums[s * stride];
    return total;
  }
  __device__ __forceinline__ float fold() const { return fold(sums[0], 1); }
};

template <int kTiles>
__device__ void write_outputs(const LinearArgs& args, const float* sums, int first_panel,
                              int panels, int first_tile) {
  constexpr int kOutputs = kTiles * kSumsOfTile;  // Of a panel.
  const int num_segments = args.weight.segments.count;
  const bool swiglu = args.result == LinearResult::kSwiglu;
  const int step = swiglu ? 2 : 1;
  const auto threads = static_cast<int>(blockDim.x);
  for (int i = static_cast<int>(threadIdx.x); i < panels / step * kOutputs; i += threads) {
    // Neighbouring threads have neighbouring rows, which lie side by side in the output.
    const int panel = i / kOutputs * step;
    const int row = i % kPanelRows;
    const int slot = i % kOutputs / kPanelRows;  // Token of the block.
    const int token = first_tile * kTileTokens + slot;
    if (token >= args.input.num_tokens || first_panel + panel >= args.weight.panels()) continue;
    const int place = slot / kTileTokens * kSumsOfTile + row * kTileTokens + slot % kTileTokens;
    const FoldedSums of_panel{sums + panel * num_segments * kOutputs + place, kOutputs,
                              num_segments};
    const int n = (first_panel + panel) / step * kPanelRows + row;
    float* output = args.output + static_cast<std::size_t>(token) * args.output_stride + n;
    const bool padding = (first_panel + panel) * kPanelRows + row >= args.weight.rows;
    switch (args.result) {
      case LinearResult::kFold:
        *output = padding ? 0.0F : of_panel.fold();
        break;
      case LinearResult::kContinue:
        *output = padding ? 0.0F : of_panel.fold(*output, 0);
        break;
      case LinearResult::kAdd:
        if (!padding) *output = *output + of_panel.fold();
        break;
      case LinearResult::kSegmentSums:
        for (int s = 0; s < num_segments; ++s) {
          output[static_cast<std::size_t>(s) * args.input.num_tokens * args.output_stride] =
              padding ? 0.0F : of_panel.sums[s * kOutputs];
        }
        break;
      case LinearResult::kSwiglu: {
        FoldedSums up = of_panel;
        up.sums += num_segments * kOutputs;
        *output = swiglu_of(of_panel.fold(), up.fold());
        break;
      }
    }
  }
}

template <WeightFormat kFormat, int kBits, int kTiles>
constexpr std::size_t shared_bytes(const FewShape& shape, int num_segments) {
  return static_cast<std::size_t>(shape.warps * kStages * weight_quad_bytes(kFormat)) +
         static_cast<std::size_t>(shape.panels * num_segments * kTiles * kSumsOfTile) *
             sizeof(float);
}

// Grid: panels / shape.panels, tiles / kTiles.
template <WeightFormat kFormat, int kBits, int kTiles>
__global__ void __launch_bounds__(kMaxWarps * 32)
    linear_few_kernel(LinearArgs args, FewShape shape) {
  const auto warp = static_cast<int>(threadIdx.x / 32);
  const int num_segments = args.weight.segments.count;
  const int first_panel = static_cast<int>(blockIdx.x) * shape.panels;
  const int first_tile = static_cast<int>(blockIdx.y) * kTiles;
  const int left = args.weight.panels() - first_panel;
  const int panels = left < shape.panels ? left : shape.panels;
  constexpr int kPipelineBytes = kStages * weight_quad_bytes(kFormat);
  std::uint8_t* pipeline = dynamic_shared() + warp * kPipelineBytes;
  auto* sums = reinterpret_cast<float*>(dynamic_shared() + shape.warps * kPipelineBytes);
  let_next_begin();
  for (int task = warp; task < panels * num_segments; task += shape.warps) {
    const Task now = task_of<kFormat>(args, first_panel + task / num_segments, task % num_segments);
    start_copies<kFormat>(now, pipeline);
    wait_for_previous();  // Weights were there before it; activations are its work.
    run_task<kFormat, kBits, kTiles>(args, now, first_tile, pipeline,
                                     sums + task * kTiles * kSumsOfTile);
  }
  wait_for_previous();  // Of a warp without a task, too: the output may be its work.
  __syncthreads();
  write_outputs<kTiles>(args, sums, first_panel, panels, first_tile);
}

// About eight tasks a block, and panels in pairs for SwiGLU.
FewShape few_shape(const LinearArgs& args) {
  const int segments = args.weight.segments.count;
  const int least = args.result == LinearResult::kSwiglu ? 2 : 1;
  int panels = 8 / segments / least * least;
  panels = panels < least ? least : panels;
  const int tasks = panels * segments;
  return {panels, tasks < kMaxWarps ? tasks : kMaxWarps};
}

template <WeightFormat kFormat, int kBits, int kTiles>
Error launch_few(const LinearArgs& args, Stream stream) {
  const int num_segments = args.weight.segments.count;
  const auto bytes_of = shared_bytes<kFormat, kBits, kTiles>;
  FewShape shape = few_shape(args);
  while (shape.warps > 1 && bytes_of(shape, num_segments) > kMostShared) --shape.warps;
  const auto blocks =
      static_cast<unsigned>((args.weight.panels() + shape.panels - 1) / shape.panels);
  const auto tiles = static_cast<unsigned>(args.input.tiles() / kTiles);
  return launch(
      linear_few_kernel<kFormat, kBits, kTiles>,
      {{blocks, tiles}, {static_cast<unsigned>(shape.warps * 32)}, bytes_of(shape, num_segments)},
      stream, args, shape);
}

template <WeightFormat kFormat, int kBits>
Error launch_tiles(const LinearArgs& args, Stream stream) {
  switch (args.input.tiles()) {
    case 1:
    case 3:
      return launch_few<kFormat, kBits, 1>(args, stream);
    default:
      return launch_few<kFormat, kBits, 2>(args, stream);
  }
}

template <WeightFormat kFormat>
Error launch_bits(const LinearArgs& args, Stream stream) {
  return args.input.bits == 16 ? launch_tiles<kFormat, 16>(args, stream)
                               : launch_tiles<kFormat, 8>(args, stream);
}

}  // namespace

Error linear_few(const LinearArgs& args, Stream stream) {
  if (args.input.num_tokens == 0) return Error{};
  switch (args.weight.format) {
    case WeightFormat::kQ4_0:
      return launch_bits<WeightFormat::kQ4_0>(args, stream);
    case WeightFormat::kQ4_1:
      return launch_bits<WeightFormat::kQ4_1>(args, stream);
    default:
      return launch_bits<WeightFormat::kQ8_0>(args, stream);
  }
}

}  // namespace lockstep::cuda
