// What lies between the projections and attention: RoPE, rotation, and everything into codes. One
// warp per token and head.
#include "kernels/cuda/launchers.h"
#include "kernels/cuda/numerics.h"
#include "kernels/device_kv_tiles.h"
#include "kernels/ops.h"

namespace lockstep::cuda {
namespace {

constexpr unsigned kWarps = 4;
constexpr int kMaxHead = kernels::kMaxHeadSize;

enum class Role : std::uint8_t { kQuery, kKey, kValue };

// The head of a warp.
struct Head {
  Role role;
  int index;  // Among those of its role.
  int token;
};

__device__ __forceinline__ void load_head(const PrepareAttentionArgs& args, const Head& head,
                                          int column, float* v) {
  const float* source =
      args.projected + static_cast<std::size_t>(head.token) * args.stride + column;
  const int lane = static_cast<int>(threadIdx.x % 32);
  const int rotated = head.role == Role::kValue ? 0 : args.rotary_dims;
  const std::size_t row = static_cast<std::size_t>(head.token) * (args.rotary_dims / 2);
  for (int i = lane; i < rotated / 2; i += 32) {
    const float a = source[2 * i];
    const float b = source[2 * i + 1];
    const float c = args.cosines[row + i];
    const float s = args.sines[row + i];
    v[2 * i] = fused_multiply_add(a, c, -(b * s));
    v[2 * i + 1] = fused_multiply_add(a, s, b * c);
  }
  for (int i = rotated + lane; i < args.cache.head_size; i += 32) v[i] = source[i];
  __syncwarp();
}

// The Walsh-Hadamard transform of each block of the largest power of two that divides n.
__device__ __forceinline__ void rotate(float* v, int n) {
  const int block = n & -n;
  for (int stride = 1; stride < block; stride *= 2) {
    for (int pair = static_cast<int>(threadIdx.x % 32); pair < n / 2; pair += 32) {
      const int i = pair / stride * 2 * stride + pair % stride;
      const float a = v[i];
      const float b = v[i + stride];
      v[i] = a + b;
      v[i + stride] = a - b;
    }
    __syncwarp();
  }
}

__device__ __forceinline__ void store_query(const PrepareAttentionArgs& args, const Head& head,
                                            const float* v, const Scaling& scaling) {
  const int padded = kv_groups(args.cache.head_size) * 32;
  const std::size_t row = static_cast<std::size_t>(head.token) * args.num_heads + head.index;
  const int lane = static_cast<int>(threadIdx.x % 32);
  for (int i = lane; i < padded; i += 32) {
    const std::int32_t code = i < args.cache.head_size ? code_of(v[i], scaling) : 0;
    args.queries.lo[row * padded + i] = static_cast<std::int8_t>(code);
    if (args.cache.kv_bits == 16) {
      args.queries.hi[row * padded + i] = static_cast<std::int8_t>(high_byte(code));
    }
  }
  if (lane == 0) args.queries.scales[row] = scaling.scale;
}

// Stores channels c and c + partner of one slot, for all c of a group whose nibble is the low one.
__device__ __forceinline__ void store_slot(const PrepareAttentionArgs& args, const Head& head,
                                           const float* v, const Scaling& scaling) {
  const KvTiles& cache = args.cache;
  const bool keys = head.role == Role::kKey;
  const int position = args.batch.positions[head.token];
  const int slot = position % kKvSlots;
  const std::int32_t block =
      args.batch.tables[args.batch.table_starts[head.token] + position / kKvSlots];
  const std::size_t head_block = static_cast<std::size_t>(block) * cache.num_kv_heads + head.index;
  const int groups = kv_groups(cache.head_size);
  std::uint8_t* tile = (keys ? cache.keys : cache.values) +
                       head_block * kv_tile_bytes(cache.head_size, cache.kv_bits);
  const int partner = keys ? kKeyPartner : kValuePartner;
  const int lane = static_cast<int>(threadIdx.x % 32);
  for (int pair = lane; pair < groups * 16; pair += 32) {
    const int channel = pair / partner * 2 * partner + pair % partner;
    std::int32_t codes[2];
    for (int i = 0; i < 2; ++i) {
      const int c = channel + i * partner;
      codes[i] = c < cache.head_size ? code_of(v[c], scaling) : 0;
      const KvPlace place = keys ? key_place(slot, c, groups) : value_place(slot, c, groups);
      tile[place.low] = static_cast<std::uint8_t>(codes[i]);
    }
    if (cache.kv_bits == 8) continue;
    const KvPlace place =
        keys ? key_place(slot, channel, groups) : value_place(slot, channel, groups);
    tile[place.upper] = static_cast<std::uint8_t>((codes[0] >> 8 & 15) | (codes[1] >> 8 & 15) << 4);
  }
  float* scales = keys ? cache.key_scales : cache.value_scales;
  if (lane == 0) scales[head_block * kKvSlots + slot] = scaling.scale;
}

// Grid: heads / kWarps, tokens.
__global__ void __launch_bounds__(kWarps * 32) prepare_attention_kernel(PrepareAttentionArgs args) {
  follow_previous();
  DEVICE_SHARED(float, vectors, kWarps* kMaxHead);
  const auto warp = static_cast<int>(threadIdx.x / 32);
  const int index = static_cast<int>(blockIdx.x * kWarps) + warp;
  const int kv_heads = args.cache.num_kv_heads;
  if (index >= args.num_heads + 2 * kv_heads) return;
  Head head{Role::kQuery, index, static_cast<int>(blockIdx.y)};
  if (index >= args.num_heads + kv_heads) {
    head.role = Role::kValue;
    head.index = index - args.num_heads - kv_heads;
  } else if (index >= args.num_heads) {
    head.role = Role::kKey;
    head.index = index - args.num_heads;
  }
  float* v = vectors + warp * kMaxHead;
  const int n = args.cache.head_size;
  load_head(args, head, args.columns[index], v);
  if (args.cache.kv_bits == 8 && head.role != Role::kValue) rotate(v, n);
  std::uint32_t largest = 0;
  for (int i = static_cast<int>(threadIdx.x % 32); i < n; i += 32) {
    largest = larger(largest, magnitude_bits(v[i]));
  }
  largest = warp_largest(largest);
  const Scaling scaling = scaling_of(largest, args.cache.kv_bits == 16 ? 2047.0F : 127.0F);
  const NonFiniteReport& report = head.role == Role::kQuery ? args.query_report : args.key_report;
  if (largest >= kNotFinite && threadIdx.x % 32 == 0 && report.flags != nullptr) {
    const std::int32_t sequence =
        report.sequences == nullptr ? head.token : report.sequences[head.token];
    atomic_min(report.flags + sequence, report.code);
  }
  if (head.role == Role::kQuery) {
    store_query(args, head, v, scaling);
  } else {
    store_slot(args, head, v, scaling);
  }
}

}  // namespace

Error prepare_attention(const PrepareAttentionArgs& args, Stream stream) {
  if (args.num_tokens == 0) return Error{};
  const auto heads = static_cast<unsigned>(args.num_heads + 2 * args.cache.num_kv_heads);
  return launch(
      prepare_attention_kernel,
      {{(heads + kWarps - 1) / kWarps, static_cast<unsigned>(args.num_tokens)}, {kWarps * 32}},
      stream, args);
}

}  // namespace lockstep::cuda
