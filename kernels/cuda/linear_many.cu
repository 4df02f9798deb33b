// Quantized linear for many tokens: tiles of 128 rows times 64 tokens from shared memory, and the
// issue slots are what counts: an output costs a multiply-add, a conversion and an fma per group,
// besides its share of two mma.m16n8k32.
#include "kernels/cuda/launchers.h"
#include "kernels/cuda/linear_group.h"
#include "kernels/cuda/numerics.h"

namespace lockstep::cuda {
namespace {

constexpr int kPanels = 8;      // Of a block.
constexpr int kTiles = 8;       // Of tokens, of a block.
constexpr int kWarpPanels = 2;  // Each loaded tile serves two panels, gate and up among them.
constexpr int kWarpTiles = 4;
constexpr unsigned kThreads = kPanels / kWarpPanels * (kTiles / kWarpTiles) * 32;

// A stage of the pipeline: one quad of all panels and tiles of the block.
template <WeightFormat kFormat, int kBits>
struct Stage {
  static constexpr int kCount = kFormat == WeightFormat::kQ8_0 ? 2 : 3;
  static constexpr int kWeights = weight_quad_bytes(kFormat);
  static constexpr int kCodes = kQuadGroups * 32 * activation_lane_bytes(kBits);
  static constexpr int kNumbers = kQuadGroups * kTileTokens * 4;  // Sums, or scales.
  static constexpr int kTileBytes = kCodes + kNumbers * (kBits == 8 ? 2 : 1);
  static constexpr int kTilesBegin = kPanels * kWeights;
  static constexpr int kBytes = kTilesBegin + kTiles * kTileBytes;
};

// All threads copy `count` runs of kRunBytes, which lie kTargetStride apart in shared memory;
// source(i) is where run i comes from.
template <int kRunBytes, int kTargetStride, typename Source>
__device__ __forceinline__ void copy_runs(std::uint8_t* target, int count, Source source) {
  constexpr int kPieces = kRunBytes / 16;
  for (int i = static_cast<int>(threadIdx.x); i < count * kPieces;
       i += static_cast<int>(kThreads)) {
    const int run = i / kPieces;
    const int offset = i % kPieces * 16;
    copy_async<16>(target + run * kTargetStride + offset, source(run) + offset);
  }
}

// Rows and tokens behind the last are copies of the last: they are computed, and not written.
template <WeightFormat kFormat, int kBits>
__device__ __forceinline__ void copy_stage(const LinearArgs& args, int quad, std::uint8_t* shared) {
  using S = Stage<kFormat, kBits>;
  const int last_panel = args.weight.panels() - 1;
  const int last_tile = args.input.tiles() - 1;
  const auto first_panel = static_cast<int>(blockIdx.x) * kPanels;
  const auto first_tile = static_cast<int>(blockIdx.y) * kTiles;
  const auto quads = static_cast<std::size_t>(args.weight.segments.quads);
  copy_runs<S::kWeights, S::kWeights>(shared, kPanels, [&](int i) {
    const int panel = first_panel + i < last_panel ? first_panel + i : last_panel;
    return args.weight.data + (static_cast<std::size_t>(panel) * quads + quad) * S::kWeights;
  });
  const auto quad_of = [&](int i) {
    const int tile = first_tile + i < last_tile ? first_tile + i : last_tile;
    return static_cast<std::size_t>(tile) * quads + quad;
  };
  std::uint8_t* tiles = shared + S::kTilesBegin;
  copy_runs<S::kCodes, S::kTileBytes>(
      tiles, kTiles, [&](int i) { return args.input.codes + quad_of(i) * S::kCodes; });
  copy_runs<S::kNumbers, S::kTileBytes>(tiles + S::kCodes, kTiles, [&](int i) {
    return reinterpret_cast<const std::uint8_t*>(args.input.sums) + quad_of(i) * S::kNumbers;
  });
  if constexpr (kBits == 8) {
    copy_runs<S::kNumbers, S::kTileBytes>(tiles + S::kCodes + S::kNumbers, kTiles, [&](int i) {
      return reinterpret_cast<const std::uint8_t*>(args.input.scales) + quad_of(i) * S::kNumbers;
    });
  }
}

template <WeightFormat kFormat, int kBits>
__device__ __forceinline__ TokenGroup tokens_of(const std::uint8_t* tile, int group,
                                                unsigned lane) {
  using S = Stage<kFormat, kBits>;
  TokenGroup tokens;
  load_codes<kBits>(tile + (group * 32 + lane) * activation_lane_bytes(kBits), &tokens);
  const std::uint8_t* pair = tile + S::kCodes + (group * kTileTokens + lane % 4 * 2) * 4;
  const auto sums = *reinterpret_cast<const uint2*>(pair);
  tokens.sums[0] = static_cast<std::int32_t>(sums.x);
  tokens.sums[1] = static_cast<std::int32_t>(sums.y);
  if constexpr (kBits == 8) {
    const auto scales = *reinterpret_cast<const uint2*>(pair + S::kNumbers);
    tokens.scales[0] = bits_float(scales.x);
    tokens.scales[1] = bits_float(scales.y);
  }
  return tokens;
}

using Sums = float[kWarpPanels][kWarpTiles][4];

template <WeightFormat kFormat, int kBits>
__device__ __forceinline__ void multiply_stage(const std::uint8_t* shared, int warp_panel,
                                               int warp_tile, Sums& acc) {
  using S = Stage<kFormat, kBits>;
  const unsigned lane = threadIdx.x % 32;
#pragma unroll 1
  for (int j = 0; j < kQuadGroups; ++j) {
    WeightGroup<kFormat> weights[kWarpPanels];
#pragma unroll
    for (int i = 0; i < kWarpPanels; ++i) {
      weights[i].load(shared + (warp_panel + i) * S::kWeights, j, lane);
    }
#pragma unroll
    for (int t = 0; t < kWarpTiles; ++t) {
      const TokenGroup tokens = tokens_of<kFormat, kBits>(
          shared + S::kTilesBegin + (warp_tile + t) * S::kTileBytes, j, lane);
#pragma unroll
      for (int i = 0; i < kWarpPanels; ++i) {
        const WeightGroup<kFormat>& w = weights[i];
        add_group<kFormat, kBits>(w.a, w.d, w.m, tokens, acc[i][t]);
      }
    }
  }
}

// The outputs of a lane: which token and row element j of tile t and panel i is.
struct Place {
  int panel;  // Of the warp's first.
  int token;  // Of the lane's first.

  __device__ __forceinline__ int token_of(int t, int j) const {
    return token + t * kTileTokens + j % 2;
  }
  __device__ __forceinline__ int row_of(int i, int j) const {
    return (panel + i) * kPanelRows + static_cast<int>(threadIdx.x % 32 / 4) + j / 2 * 8;
  }
};

// total = total + p, or where the fold begins.
template <int kBits>
__device__ __forceinline__ void fold_segment(const LinearArgs& args, int segment,
                                             const Place& place, const Sums& acc, Sums& total) {
#pragma unroll
  for (int t = 0; t < kWarpTiles; ++t) {
    float scales[2] = {1.0F, 1.0F};
    if constexpr (kBits == 16) {
      const int last = args.input.tiles() - 1;
      const int wanted = place.token / kTileTokens + t;
      const int tile = wanted < last ? wanted : last;
      const float* of_tile =
          args.input.scales +
          (static_cast<std::size_t>(tile) * args.input.scale_runs() + segment) * kTileTokens +
          place.token % kTileTokens;
      scales[0] = of_tile[0];
      scales[1] = of_tile[1];
    }
#pragma unroll
    for (int i = 0; i < kWarpPanels; ++i) {
#pragma unroll
      for (int j = 0; j < 4; ++j) {
        const float p = kBits == 16 ? acc[i][t][j] * scales[j % 2] : acc[i][t][j];
        const int token = place.token_of(t, j);
        const int row = place.row_of(i, j);
        const bool exists =
            token < args.input.num_tokens && row < args.weight.panels() * kPanelRows;
        float* output = args.output + static_cast<std::size_t>(token) * args.output_stride + row;
        if (args.result == LinearResult::kSegmentSums) {
          if (!exists) continue;
          output[static_cast<std::size_t>(segment) * args.input.num_tokens * args.output_stride] =
              row < args.weight.rows ? p : 0.0F;
        } else if (segment > 0) {
          total[i][t][j] = total[i][t][j] + p;
        } else if (args.result == LinearResult::kContinue && exists) {
          total[i][t][j] = *output + p;
        } else {
          total[i][t][j] = p;
        }
      }
    }
  }
}

__device__ __forceinline__ void write_outputs(const LinearArgs& args, const Place& place,
                                              const Sums& total) {
#pragma unroll
  for (int t = 0; t < kWarpTiles; ++t) {
#pragma unroll
    for (int j = 0; j < 4; ++j) {
      const int token = place.token_of(t, j);
      if (token >= args.input.num_tokens) continue;
      float* output = args.output + static_cast<std::size_t>(token) * args.output_stride;
#pragma unroll
      for (int i = 0; i < kWarpPanels; ++i) {
        const int row = place.row_of(i, j);
        if (row >= args.weight.panels() * kPanelRows) continue;
        if (args.result == LinearResult::kSwiglu) {
          if (i % 2 == 1) continue;
          output[place.panel / 2 * kPanelRows + row % kPanelRows] =
              swiglu_of(total[0][t][j], total[1][t][j]);
        } else if (args.result == LinearResult::kAdd) {
          if (row < args.weight.rows) output[row] = output[row] + total[i][t][j];
        } else {
          output[row] = row < args.weight.rows ? total[i][t][j] : 0.0F;
        }
      }
    }
  }
}

// Grid: panels / kPanels, tiles / kTiles.
template <WeightFormat kFormat, int kBits>
__global__ void __launch_bounds__(kThreads, 1) linear_many_kernel(LinearArgs args) {
  follow_previous();
  using S = Stage<kFormat, kBits>;
  const auto warp = static_cast<int>(threadIdx.x / 32);
  const int warp_panel = warp % (kPanels / kWarpPanels) * kWarpPanels;
  const int warp_tile = warp / (kPanels / kWarpPanels) * kWarpTiles;
  const Place place{static_cast<int>(blockIdx.x) * kPanels + warp_panel,
                    (static_cast<int>(blockIdx.y) * kTiles + warp_tile) * kTileTokens +
                        static_cast<int>(threadIdx.x % 4) * 2};
  const Segments& segments = args.weight.segments;
  std::uint8_t* shared = dynamic_shared();
  for (int q = 0; q < S::kCount - 1; ++q) {
    if (q < segments.quads) copy_stage<kFormat, kBits>(args, q, shared + q * S::kBytes);
    commit_copies();
  }
  Sums total = {};
  int quad = 0;
  for (int s = 0; s < segments.count; ++s) {
    Sums acc = {};
    for (const int end = segments.first_quad[s + 1]; quad < end; ++quad) {
      wait_copies<S::kCount - 2>();
      __syncthreads();  // Everybody's copies are there, and the oldest stage has been read.
      const int next = quad + S::kCount - 1;
      if (next < segments.quads) {
        copy_stage<kFormat, kBits>(args, next, shared + next % S::kCount * S::kBytes);
      }
      commit_copies();
      multiply_stage<kFormat, kBits>(shared + quad % S::kCount * S::kBytes, warp_panel, warp_tile,
                                     acc);
    }
    fold_segment<kBits>(args, s, place, acc, total);
  }
  if (args.result != LinearResult::kSegmentSums) write_outputs(args, place, total);
}

template <WeightFormat kFormat>
Error launch_many(const LinearArgs& args, Stream stream) {
  const auto panels = static_cast<unsigned>((args.weight.panels() + kPanels - 1) / kPanels);
  const auto tiles = static_cast<unsigned>((args.input.tiles() + kTiles - 1) / kTiles);
  const auto bytes = [](auto stage) {
    return static_cast<std::size_t>(decltype(stage)::kCount * decltype(stage)::kBytes);
  };
  if (args.input.bits == 16) {
    return launch(linear_many_kernel<kFormat, 16>,
                  {{panels, tiles}, {kThreads}, bytes(Stage<kFormat, 16>{})}, stream, args);
  }
  return launch(linear_many_kernel<kFormat, 8>,
                {{panels, tiles}, {kThreads}, bytes(Stage<kFormat, 8>{})}, stream, args);
}

}  // namespace

Error linear_many(const LinearArgs& args, Stream stream) {
  if (args.input.num_tokens == 0) return Error{};
  switch (args.weight.format) {
    case WeightFormat::kQ4_0:
      return launch_many<WeightFormat::kQ4_0>(args, stream);
    case WeightFormat::kQ4_1:
      return launch_many<WeightFormat::kQ4_1>(args, stream);
    default:
      return launch_many<WeightFormat::kQ8_0>(args, stream);
  }
}

Error linear(const LinearArgs& args, Stream stream) {
  return args.input.num_tokens <= kMostFewTokens ? linear_few(args, stream)
                                                 : linear_many(args, stream);
}

}  // namespace lockstep::cuda
