// The kernel of paged attention: a warp has 16 query rows, a block of threads the keys of one head.
// Whole contexts are folded in registers, block by block; with few queries every block of 128 keys
// is a thread block of its own. Its instances take ptxas ten seconds each, so each width of the
// cache has a source of its own.
#pragma once

#include "kernels/cuda/attention_block.h"
#include "kernels/cuda/attention_launch.h"

namespace lockstep::cuda {

namespace {

constexpr int kMaxWarps = kAttentionTileRows / kSplitTileRows;
constexpr int kWarpRows = 16;

// Shared memory: keys, values, and the scales of both.
struct KvStage {
  std::uint8_t* keys;
  std::uint8_t* values;
  float* key_scales;  // [128]
  float* value_scales;
};

__device__ __forceinline__ KvStage stage_of(std::size_t tile_bytes) {
  std::uint8_t* shared = dynamic_shared();
  const std::size_t codes = tile_bytes * kKvBlocks;
  auto* scales = reinterpret_cast<float*>(shared + 2 * codes);
  return {shared, shared + codes, scales, scales + kKeyBlock};
}

// The query heads of one key/value head.
struct HeadGroup {
  int first;
  int count;
};

__device__ __forceinline__ HeadGroup heads_of(const AttentionArgs& args, int kv_head) {
  const int first = kv_head == 0 ? 0 : args.first_group_left + (kv_head - 1) * args.query_group;
  const int end = args.first_group_left + kv_head * args.query_group;
  return {first, (end < args.num_heads ? end : args.num_heads) - first};
}

// What a block of threads works on.
struct Work {
  AttentionTile tile;
  HeadGroup heads;
  int kv_head;
  int first_row;  // Of this warp.
  int last_position;
};

__device__ __forceinline__ QueryRows rows_of(const AttentionArgs& args, const Work& work) {
  const int padded = kv_groups(args.cache.head_size) * 32;
  QueryRows rows;
#pragma unroll
  for (int i = 0; i < 2; ++i) {
    const int row = work.first_row + static_cast<int>(threadIdx.x % 32 / 4) + 8 * i;
    const bool exists = row < work.tile.num_tokens * work.heads.count;
    const int token = work.tile.first_token + (exists ? row / work.heads.count : 0);
    const int head = work.heads.first + (exists ? row % work.heads.count : 0);
    const std::size_t at = static_cast<std::size_t>(token) * args.num_heads + head;
    rows.lo[i] = args.queries.lo + at * padded;
    rows.hi[i] = args.queries.hi == nullptr ? rows.lo[i] : args.queries.hi + at * padded;
    rows.scale[i] = args.queries.scales[at];
    rows.position[i] = exists ? args.batch.positions[token] : -1;
    rows.any[i] = work.first_row + 8 * i < work.tile.num_tokens * work.heads.count;
  }
  return rows;
}

// Starts copying keys or values of block `block`, with their scales; KV blocks behind the last
// position do not exist.
__device__ __forceinline__ void copy_kv(const AttentionArgs& args, const Work& work, int block,
                                        const std::uint8_t* source, const float* source_scales,
                                        std::uint8_t* target, float* target_scales) {
  const std::size_t tile_bytes = kv_tile_bytes(args.cache.head_size, args.cache.kv_bits);
  const std::int32_t* table = args.batch.tables + args.batch.table_starts[work.tile.first_token];
  const int first = block * kKvBlocks;
  const int last = work.last_position / kKvSlots;
  const auto threads = static_cast<int>(blockDim.x);
  const int pieces = static_cast<int>(tile_bytes / 16);
  for (int i = 0; i < kKvBlocks && first + i <= last; ++i) {
    const std::size_t head_block =
        static_cast<std::size_t>(table[first + i]) * args.cache.num_kv_heads + work.kv_head;
    const std::uint8_t* tile = source + head_block * tile_bytes;
    for (int piece = static_cast<int>(threadIdx.x); piece < pieces; piece += threads) {
      copy_async<16>(target + i * tile_bytes + piece * 16, tile + piece * 16);
    }
    if (threadIdx.x < kKvSlots / 4) {
      copy_async<16>(target_scales + i * kKvSlots + threadIdx.x * 4,
                     source_scales + head_block * kKvSlots + threadIdx.x * 4);
    }
  }
}

// The running fold of a warp's rows, for one slice of channels. Numerics, "Attention", step 4.
template <int kSlice>
struct RunningFold {
  float o[kSlice][4][4];  // [group][n-tile][as scores]
  RowState state[2];
};

// How a block is folded into what is left of it.
struct FoldStep {
  bool first[2];   // Nothing is left of it.
  bool active[2];  // The row sees some of its keys.
  float left[2];   // e_a
  float right[2];  // e_b
};

__device__ __forceinline__ FoldStep fold_states(const RowState (&block)[2], const bool (&active)[2],
                                                bool first, RowState (&state)[2]) {
  FoldStep step{};
  for (int row = 0; row < 2; ++row) {
    step.first[row] = first;
    step.active[row] = active[row];
    if (first) {
      state[row] = block[row];
    } else if (active[row]) {
      const float m = state[row].m > block[row].m ? state[row].m : block[row].m;
      step.left[row] = canonical_exp(state[row].m - m);
      step.right[row] = canonical_exp(block[row].m - m);
      state[row].l =
          fused_multiply_add(block[row].l, step.right[row], state[row].l * step.left[row]);
      state[row].m = m;
    }
  }
  return step;
}

__device__ __forceinline__ float folded(float left, float block, const FoldStep& step, int row) {
  if (step.first[row]) return block;
  return step.active[row] ? fused_multiply_add(block, step.right[row], left * step.left[row])
                          : left;
}

// Calls write(row, channel, j) for the outputs of a lane in a group of channels that exist.
template <typename Write>
__device__ __forceinline__ void for_outputs(int group, int head_size, const QueryRows& rows,
                                            Write write) {
#pragma unroll
  for (int tile = 0; tile < 4; ++tile) {
#pragma unroll
    for (int j = 0; j < 4; ++j) {
      const int channel = group * 32 + key_of(tile, j);
      if (rows.position[j / 2] >= 0 && channel < head_size) write(j / 2, channel, tile, j);
    }
  }
}

// The (token, head) of a lane's row, as an index.
__device__ __forceinline__ std::size_t output_row(const AttentionArgs& args, const Work& work,
                                                  int row) {
  const int at = work.first_row + static_cast<int>(threadIdx.x % 32 / 4) + 8 * row;
  return static_cast<std::size_t>(work.tile.first_token + at / work.heads.count) * args.num_heads +
         work.heads.first + at % work.heads.count;
}

// Leaves the states of a block apart, for attention_fold_kernel.
__device__ __forceinline__ void write_states(const AttentionArgs& args, const Work& work, int block,
                                             const QueryRows& rows, const RowState (&state)[2]) {
  if (threadIdx.x % 4 != 0) return;
  for (int row = 0; row < 2; ++row) {
    if (rows.position[row] < block * kKeyBlock) continue;
    float* target = args.states + (output_row(args, work, row) * args.max_blocks + block) * 2;
    target[0] = state[row].m;
    target[1] = state[row].l;
  }
}

// Scores of a whole block of keys.
template <int kBits, int kGroups>
__device__ __forceinline__ void score_block(const QueryRows& rows, const KvStage& stage, int groups,
                                            float score_scale, Scores& scores) {
  const std::size_t tile_bytes = kv_tile_bytes(groups * 32, kBits);
#pragma unroll
  for (int kv = 0; kv < kKvBlocks; ++kv) {
    std::int32_t isum[2][4];
    score_kv_block<kBits, kGroups>(rows, stage.keys + kv * tile_bytes, groups, isum);
#pragma unroll
    for (int i = 0; i < 8; ++i) {
      const int tile = 2 * kv + i / 4;
      const float key_scale = stage.key_scales[key_of(tile, i)];
      scores[tile][i % 4] =
          (int_to_float(isum[i / 4][i % 4]) * (rows.scale[i % 4 / 2] * key_scale)) * score_scale;
    }
  }
}

// kGroups: of 32 channels of a head; 0: any number, in loops.
// Grid: tiles, key/value heads, blocks of keys (1 where they are folded here) times slices.
template <int kBits, int kGroups>
__global__ void __launch_bounds__(kMaxWarps * 32)
    attention_kernel(AttentionArgs args, AttentionShape shape) {
  follow_previous();
  constexpr int kSlice = groups_of_slice(kGroups);
  const bool split = args.sums != nullptr;
  const int head_size = args.cache.head_size;
  const int groups = kGroups > 0 ? kGroups : kv_groups(head_size);
  const int slice = kGroups == kSlice ? 0 : static_cast<int>(blockIdx.z) % shape.slices;
  Work work{args.tiles[blockIdx.x], {}, static_cast<int>(blockIdx.y), 0, 0};
  work.heads = heads_of(args, work.kv_head);
  const int num_rows = work.tile.num_tokens * work.heads.count;
  const int end_row = work.tile.first_row + static_cast<int>(blockDim.x) / 32 * kWarpRows;
  if (work.tile.first_row >= num_rows) return;
  const int last_row = (end_row < num_rows ? end_row : num_rows) - 1;
  work.first_row = work.tile.first_row + static_cast<int>(threadIdx.x / 32) * kWarpRows;
  work.last_position = args.batch.positions[work.tile.first_token + last_row / work.heads.count];
  const int num_blocks = work.last_position / kKeyBlock + 1;
  const int begin = split ? static_cast<int>(blockIdx.z) / shape.slices : 0;
  if (begin >= num_blocks) return;
  const int end = split ? begin + 1 : num_blocks;

  const KvStage stage = stage_of(kv_tile_bytes(head_size, kBits));
  const auto copy_keys = [&](int block) {
    copy_kv(args, work, block, args.cache.keys, args.cache.key_scales, stage.keys,
            stage.key_scales);
  };
  const auto copy_values = [&](int block) {
    copy_kv(args, work, block, args.cache.values, args.cache.value_scales, stage.values,
            stage.value_scales);
  };
  copy_keys(begin);
  commit_copies();
  copy_values(begin);
  commit_copies();
  const QueryRows rows = rows_of(args, work);
  RunningFold<kSlice> fold;
  for (int block = begin; block < end; ++block) {
    Scores p;
    wait_copies<1>();
    __syncthreads();  // The keys are there.
    score_block<kBits, kGroups>(rows, stage, groups, shape.score_scale, p);
    __syncthreads();  // Nobody needs them any more.
    if (block + 1 < end) copy_keys(block + 1);
    commit_copies();
    RowState state[2];
    softmax(p, block * kKeyBlock, rows, state);
    ProbabilityCodes codes;
    wait_copies<1>();
    __syncthreads();  // The values are there.
    code_probabilities<kBits>(p, rows, stage.value_scales, &codes);
    const bool active[2] = {rows.position[0] >= block * kKeyBlock,
                            rows.position[1] >= block * kKeyBlock};
    const FoldStep step = fold_states(state, active, block == begin, fold.state);
#pragma unroll
    for (int i = 0; i < kSlice; ++i) {
      const int group = slice * kSlice + i;
      if (kGroups == 0 && group >= groups) break;
      std::int32_t isum[4][4];
      weigh_values<kBits>(codes, stage.values, group, groups, isum);
#pragma unroll
      for (int j = 0; j < 16; ++j) {
        const int row = j % 4 / 2;
        float& o = fold.o[i][j / 4][j % 4];
        o = folded(o, int_to_float(isum[j / 4][j % 4]) * codes.factor[row], step, row);
      }
      __syncwarp();  // Else the next group's loads come early, and registers run out.
    }
    __syncthreads();  // Nobody needs the values any more.
    if (block + 1 < end) copy_values(block + 1);
    commit_copies();
  }
  if (split && slice == 0) write_states(args, work, begin, rows, fold.state);
  const std::size_t at[2] = {output_row(args, work, 0), output_row(args, work, 1)};
#pragma unroll
  for (int i = 0; i < kSlice; ++i) {
    const int group = slice * kSlice + i;
    if (kGroups == 0 && group >= groups) break;
    for_outputs(group, head_size, rows, [&](int row, int channel, int tile, int j) {
      const float o = fold.o[i][tile][j];
      if (!split) {
        args.output[at[row] * head_size + channel] = divide(o, fold.state[row].l);
      } else if (rows.position[row] >= begin * kKeyBlock) {
        args.sums[(at[row] * args.max_blocks + begin) * head_size + channel] = o;
      }
    });
  }
}

template <int kBits, int kGroups>
Error launch_groups(const AttentionArgs& args, const AttentionShape& shape, Stream stream) {
  const bool split = args.sums != nullptr;
  const int warps = split ? 1 : kMaxWarps;
  const int blocks = split ? args.max_blocks : 1;
  const std::size_t shared =
      2 * kKvBlocks * kv_tile_bytes(args.cache.head_size, kBits) + 2 * kKeyBlock * sizeof(float);
  return launch(
      attention_kernel<kBits, kGroups>,
      {{static_cast<unsigned>(args.num_tiles), static_cast<unsigned>(args.cache.num_kv_heads),
        static_cast<unsigned>(blocks * shape.slices)},
       {static_cast<unsigned>(warps * 32)},
       shared},
      stream, args, shape);
}

// What models have has loops of known length: head sizes 64, 80, 96, 128 and 256.
template <int kBits>
Error launch_attention(const AttentionArgs& args, const AttentionShape& shape, Stream stream) {
  switch (kv_groups(args.cache.head_size)) {
    case 2:
      return launch_groups<kBits, 2>(args, shape, stream);
    case 3:
      return launch_groups<kBits, 3>(args, shape, stream);
    case 4:
      return launch_groups<kBits, 4>(args, shape, stream);
    case 8:
      return launch_groups<kBits, 8>(args, shape, stream);
    default:
      return launch_groups<kBits, 0>(args, shape, stream);
  }
}

}  // namespace
}  // namespace lockstep::cuda
