// Quantization of activations, alone or behind RMSNorm: one block per token and segment, or per
// token.
#include "kernels/cuda/launchers.h"
#include "kernels/cuda/numerics.h"

namespace lockstep::cuda {
namespace {

constexpr unsigned kThreads = 256;
constexpr int kRowLanes = 64;  // Numerics, "The rest of a layer".

// The 64-lane sum of squares of a vector, in every thread of the block.
__device__ float sum_of_squares(const float* v, int n) {
  DEVICE_SHARED(float, upper_lanes, 32);
  DEVICE_SHARED(float, total, 4);
  const auto thread = static_cast<int>(threadIdx.x);
  float sum = 0.0F;
  if (thread < kRowLanes) {
    for (int i = thread; i < n; i += kRowLanes) sum = fused_multiply_add(v[i], v[i], sum);
  }
  if (thread >= 32 && thread < kRowLanes) upper_lanes[thread - 32] = sum;
  __syncthreads();
  if (thread < 32) {
    sum = sum + upper_lanes[thread];
    for (unsigned mask = 16; mask > 0; mask /= 2) sum = sum + shuffle_xor(sum, mask);
    if (thread == 0) total[0] = sum;
  }
  __syncthreads();
  return total[0];
}

__device__ float inverse_norm(const float* v, int n, float epsilon) {
  const float mean = divide(sum_of_squares(v, n), int_to_float(n));
  return divide(1.0F, square_root(mean + epsilon));
}

__global__ void __launch_bounds__(kThreads) rms_norm_kernel(RmsNormArgs args) {
  follow_previous();
  const float* input = args.input + static_cast<std::size_t>(blockIdx.x) * args.dim;
  float* output = args.output + static_cast<std::size_t>(blockIdx.x) * args.dim;
  const float inverse = inverse_norm(input, args.dim, args.epsilon);
  for (int i = static_cast<int>(threadIdx.x); i < args.dim; i += kThreads) {
    output[i] = input[i] * inverse * args.weight[i];
  }
}

// The largest of all threads of the block, in each of them.
__device__ std::uint32_t block_largest(std::uint32_t value) {
  DEVICE_SHARED(std::uint32_t, of_warps, kThreads / 32);
  value = warp_largest(value);
  __syncthreads();  // What the last call left has been read.
  if (threadIdx.x % 32 == 0) of_warps[threadIdx.x / 32] = value;
  __syncthreads();
  for (unsigned i = 0; i < kThreads / 32; ++i) value = larger(value, of_warps[i]);
  return value;
}

// A token's values, normed where the kernel norms.
struct Values {
  const float* input;
  const float* weight;  // Null: as they are.
  float inverse;
  int k;

  __device__ __forceinline__ float at(int i) const {
    if (i >= k) return 0.0F;
    return weight == nullptr ? input[i] : input[i] * inverse * weight[i];
  }
};

// Where a token's codes of a segment go.
struct TokenTarget {
  std::uint8_t* codes;  // Of the segment's first group and of lane 4 * (token in its tile)
  std::int32_t* sums;   // [group][8]
  float* scales;        // 16-bit: of the segment; 8-bit: [group][8]
  int words;            // Of four codes, padded to quads.
};

// Four codes of each thread in turn; eight threads side by side have a group. False where a value
// of an 8-bit group is not finite.
template <int kBits>
__device__ bool write_codes(const Values& values, int first, const Scaling& segment,
                            const TokenTarget& target) {
  bool finite = true;
  for (int word = static_cast<int>(threadIdx.x); word < target.words; word += kThreads) {
    const int group = word / 8;
    const int k = first + 4 * word;
    const float v[4] = {values.at(k), values.at(k + 1), values.at(k + 2), values.at(k + 3)};
    Scaling scaling = segment;
    if constexpr (kBits == 8) {
      std::uint32_t largest = 0;
      for (const float value : v) largest = larger(largest, magnitude_bits(value));
      for (unsigned mask = 4; mask > 0; mask /= 2) {
        largest = larger(largest, shuffle_xor(largest, mask));
      }
      finite = finite && largest < kNotFinite;
      scaling = scaling_of(largest, 127.0F);
      if (word % 8 == 0) target.scales[group * kTileTokens] = scaling.scale;
    }
    std::int32_t codes[4];
    std::int32_t upper[4];
    std::int32_t sum = 0;
    for (int i = 0; i < 4; ++i) {
      codes[i] = code_of(v[i], scaling);
      upper[i] = high_byte(codes[i]);
      sum += codes[i];
    }
    for (unsigned mask = 4; mask > 0; mask /= 2) sum += shuffle_xor(sum, mask);
    if (word % 8 == 0) target.sums[group * kTileTokens] = sum;
    constexpr int kLaneBytes = activation_lane_bytes(kBits);
    auto* lane = reinterpret_cast<std::uint32_t*>(
        target.codes + (group * 32 + word % 4) * kLaneBytes + word % 8 / 4 * 4);
    if constexpr (kBits == 16) {
      lane[0] = pack_bytes(upper);
      lane[2] = pack_bytes(codes);
    } else {
      lane[0] = pack_bytes(codes);
    }
  }
  return finite;
}

template <int kBits>
__device__ TokenTarget target_of(const ActivationTiles& output, int token, int segment) {
  constexpr int kLaneBytes = activation_lane_bytes(kBits);
  const int tile = token / kTileTokens;
  const int slot = token % kTileTokens;
  const int first = output.segments.first_quad[segment] * kQuadGroups;
  const int groups = output.segments.first_quad[segment + 1] * kQuadGroups - first;
  const std::size_t group = static_cast<std::size_t>(tile) * output.groups() + first;
  const std::size_t run =
      static_cast<std::size_t>(tile) * output.scale_runs() + (kBits == 16 ? segment : first);
  return {output.codes + (group * 32 + 4 * slot) * kLaneBytes,
          output.sums + group * kTileTokens + slot, output.scales + run * kTileTokens + slot,
          groups * 8};
}

template <int kBits>
__device__ void quantize_segment(const QuantizeArgs& args, const Values& values, int token,
                                 int segment) {
  const int first = args.output.segments.first_group[segment] * kGroupSize;
  const int end = args.output.segments.first_group[segment + 1] * kGroupSize;
  Values own = values;
  own.k = own.k < end ? own.k : end;  // Padding of the last quad belongs to no other segment.
  const TokenTarget target = target_of<kBits>(args.output, token, segment);
  Scaling scaling{};
  bool finite = true;
  if constexpr (kBits == 16) {
    std::uint32_t largest = 0;
    for (int i = first + static_cast<int>(threadIdx.x); i < own.k; i += kThreads) {
      largest = larger(largest, magnitude_bits(own.at(i)));
    }
    largest = block_largest(largest);
    finite = largest < kNotFinite;
    scaling = scaling_of(largest, 32639.0F);
    if (threadIdx.x == 0) target.scales[0] = scaling.scale;
  }
  finite = write_codes<kBits>(own, first, scaling, target) && finite;
  if (!finite && args.report.flags != nullptr) {
    const std::int32_t sequence =
        args.report.sequences == nullptr ? token : args.report.sequences[token];
    atomic_min(args.report.flags + sequence, args.report.code);
  }
}

// Grid: tokens, padded to tiles, and segments (with a norm: 1).
template <int kBits>
__global__ void __launch_bounds__(kThreads) quantize_kernel(QuantizeArgs args) {
  follow_previous();
  const auto token = static_cast<int>(blockIdx.x);
  const bool absent = token >= args.output.num_tokens;
  const int row = absent ? 0 : (args.rows == nullptr ? token : args.rows[token]);
  Values values{args.input + static_cast<std::size_t>(row) * args.input_stride, args.norm_weight,
                0.0F, absent ? 0 : args.k};
  if (args.norm_weight == nullptr) {
    quantize_segment<kBits>(args, values, token, static_cast<int>(blockIdx.y));
    return;
  }
  values.inverse = inverse_norm(values.input, args.k, args.epsilon);
  for (int s = 0; s < args.output.segments.count; ++s) {
    quantize_segment<kBits>(args, values, token, s);
  }
}

}  // namespace

Error rms_norm(const RmsNormArgs& args, Stream stream) {
  if (args.num_tokens == 0) return Error{};
  return launch(rms_norm_kernel, {{static_cast<unsigned>(args.num_tokens)}, {kThreads}}, stream,
                args);
}

Error quantize(const QuantizeArgs& args, Stream stream) {
  if (args.output.num_tokens == 0) return Error{};
  const auto tokens = static_cast<unsigned>(args.output.tiles() * kTileTokens);
  const auto segments =
      args.norm_weight == nullptr ? static_cast<unsigned>(args.output.segments.count) : 1U;
  auto* kernel = args.output.bits == 16 ? quantize_kernel<16> : quantize_kernel<8>;
  return launch(kernel, {{tokens, segments}, {kThreads}}, stream, args);
}

}  // namespace lockstep::cuda
