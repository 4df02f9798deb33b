// The operations that only move numbers or touch each once: weights at load, embedding, SwiGLU, the
// fold of segment sums, argmax.
#include "kernels/cuda/launchers.h"
#include "kernels/cuda/numerics.h"

namespace lockstep::cuda {
namespace {

constexpr unsigned kThreads = 256;

__device__ __forceinline__ std::uint32_t load_word(const std::uint8_t* bytes) {
  return *reinterpret_cast<const std::uint32_t*>(bytes);
}

// The segment whose quads contain `quad`.
__device__ __forceinline__ int segment_of(const Segments& segments, int quad) {
  int s = 0;
  while (segments.first_quad[s + 1] <= quad) ++s;
  return s;
}

// Word `word` of group `j` of a quad, from the codes of that group in layout p16.
struct PermutedWord {
  int source;  // Bytes from the first code of the group.
  int target;  // Bytes from the first code of the quad.
};

__device__ __forceinline__ PermutedWord permuted_word(WeightFormat format, int j, int word) {
  const int row = word % kPanelRows;
  const int block = word / kPanelRows;  // Of layout p16.
  const int lane = row % 8 * 4 + block % 4;
  if (format == WeightFormat::kQ8_0) {
    return {word * 4, j * 512 + lane * 16 + block / 4 * 8 + row / 8 * 4};
  }
  return {word * 4, j / 2 * 512 + lane * 16 + j % 2 * 8 + row / 8 * 4};
}

// Grid: quads of the segments, panels.
__global__ void __launch_bounds__(kThreads) permute_weights_kernel(PermuteWeightsArgs args) {
  follow_previous();
  const WeightTiles& weights = args.weights;
  const Segments& segments = weights.segments;
  const int quad = segments.first_quad[args.first_segment] + static_cast<int>(blockIdx.x);
  const auto panel = static_cast<int>(blockIdx.y);
  const int s = segment_of(segments, quad);
  const int in_segment = (quad - segments.first_quad[s]) * kQuadGroups;
  const int left = segments.first_group[s + 1] - segments.first_group[s] - in_segment;
  const int first = segments.first_group[s] + in_segment - segments.first_group[args.first_segment];
  const std::size_t group_bytes = p16_group_bytes(weights.format);
  const std::uint8_t* source =
      args.source + (static_cast<std::size_t>(panel) * args.source_groups + first) * group_bytes;
  std::uint8_t* target = weights.data + (static_cast<std::size_t>(panel) * segments.quads + quad) *
                                            weight_quad_bytes(weights.format);
  const auto thread = static_cast<int>(threadIdx.x);
  const int halves = weight_scale_bytes(weights.format) / 2;
  for (int i = thread; i < halves; i += kThreads) {
    const int row = i % kPanelRows;
    const int j = i / kPanelRows % kQuadGroups;
    const int kind = i / (kPanelRows * kQuadGroups);  // 0: scales, 1: minimums.
    const auto* half =
        reinterpret_cast<const std::uint16_t*>(source + j * group_bytes) + kind * kPanelRows + row;
    reinterpret_cast<std::uint16_t*>(target)[kind * 64 + row % 8 * 8 + row / 8 * 4 + j] =
        j < left ? *half : std::uint16_t{0};
  }
  const std::size_t codes = p16_codes_offset(weights.format);
  const int words = static_cast<int>(group_bytes - codes) / 4;
  std::uint8_t* target_codes = target + weight_scale_bytes(weights.format);
  for (int i = thread; i < words * kQuadGroups; i += kThreads) {
    const int j = i / words;
    const PermutedWord word = permuted_word(weights.format, j, i % words);
    *reinterpret_cast<std::uint32_t*>(target_codes + word.target) =
        j < left ? load_word(source + j * group_bytes + codes + word.source) : 0;
  }
}

// The stored code of element k of group j of a quad, of one row.
__device__ __forceinline__ std::int32_t stored_code(WeightFormat format, const std::uint8_t* codes,
                                                    int j, int row, int k) {
  const int block = format == WeightFormat::kQ8_0 ? k / 4 : k % 16 / 4;
  const PermutedWord word = permuted_word(format, j, block * kPanelRows + row);
  const std::int32_t byte = codes[word.target + k % 4];
  if (format == WeightFormat::kQ8_0) return byte;
  return k < 16 ? byte & 15 : byte >> 4;
}

// Grid: tokens.
__global__ void __launch_bounds__(kThreads) embed_kernel(EmbedArgs args) {
  follow_previous();
  const WeightTiles& table = args.table;
  const Segments& segments = table.segments;
  const std::int32_t id = args.rows[blockIdx.x];
  const int row = id % kPanelRows;
  const std::uint8_t* panel = table.data + static_cast<std::size_t>(id / kPanelRows) *
                                               segments.quads * weight_quad_bytes(table.format);
  float* output = args.output + static_cast<std::size_t>(blockIdx.x) * args.output_stride;
  for (int s = 0; s < segments.count; ++s) {
    const int begin = segments.first_group[s] * kGroupSize;
    const int end = segments.first_group[s + 1] * kGroupSize;
    for (int k = begin + static_cast<int>(threadIdx.x); k < end && k < args.k; k += kThreads) {
      const int group = (k - begin) / kGroupSize;
      const int j = group % kQuadGroups;
      const std::uint8_t* quad =
          panel + static_cast<std::size_t>(segments.first_quad[s] + group / kQuadGroups) *
                      weight_quad_bytes(table.format);
      const auto* halves =
          reinterpret_cast<const std::uint16_t*>(quad) + row % 8 * 8 + row / 8 * 4 + j;
      const float d = half_to_float(halves[0]);
      const std::int32_t code = stored_code(table.format, quad + weight_scale_bytes(table.format),
                                            j, row, k % kGroupSize);
      const float q = int_to_float(code - code_offset(table.format));
      output[k] = table.format == WeightFormat::kQ4_1
                      ? fused_multiply_add(q, d, half_to_float(halves[64]))
                      : d * q;
    }
  }
}

// Grid: columns / kThreads, tokens.
__global__ void __launch_bounds__(kThreads) swiglu_kernel(SwigluArgs args) {
  follow_previous();
  const auto i = static_cast<int>(blockIdx.x * kThreads + threadIdx.x);
  if (i >= args.width) return;
  const std::size_t place = static_cast<std::size_t>(blockIdx.y) * args.input_stride +
                            i / kPanelRows * args.panel_stride + i % kPanelRows;
  args.output[static_cast<std::size_t>(blockIdx.y) * args.output_stride + i] =
      swiglu_of(args.gate[place], args.up[place]);
}

// Grid: columns / kThreads, tokens.
__global__ void __launch_bounds__(kThreads) fold_kernel(FoldArgs args) {
  follow_previous();
  const auto i = static_cast<int>(blockIdx.x * kThreads + threadIdx.x);
  if (i >= args.dim) return;
  const std::size_t place = static_cast<std::size_t>(blockIdx.y) * args.sum_stride + i;
  const std::size_t segment = static_cast<std::size_t>(args.num_tokens) * args.sum_stride;
  float total = args.sums[place];
  for (int s = 1; s < args.segments; ++s) total = total + args.sums[s * segment + place];
  const std::size_t target = static_cast<std::size_t>(blockIdx.y) * args.output_stride + i;
  args.output[target] = args.residual == nullptr ? total : args.residual[target] + total;
}

// The better of two candidates: the larger value, of equals the lower id.
struct Candidate {
  float value;
  std::uint32_t id;

  __device__ __forceinline__ void take(float other, std::uint32_t other_id) {
    const bool better = other > value || (other == value && other_id < id);
    value = better ? other : value;
    id = better ? other_id : id;
  }
};

// Grid: rows.
__global__ void __launch_bounds__(kThreads) argmax_kernel(ArgmaxArgs args) {
  follow_previous();
  DEVICE_SHARED(float, values, kThreads / 32);
  DEVICE_SHARED(std::uint32_t, ids, kThreads / 32);
  DEVICE_SHARED(std::uint32_t, non_finite, kThreads / 32);
  const float* logits = args.logits + static_cast<std::size_t>(blockIdx.x) * args.stride;
  Candidate best{bits_float(0xFF800000U), 0xFFFFFFFFU};
  bool bad = false;
  for (auto i = threadIdx.x; i < static_cast<unsigned>(args.vocab_size); i += kThreads) {
    bad = bad || magnitude_bits(logits[i]) >= kNotFinite;
    best.take(logits[i], i);
  }
  for (unsigned mask = 16; mask > 0; mask /= 2) {
    const float value = shuffle_xor(best.value, mask);
    best.take(value, shuffle_xor(best.id, mask));
  }
  const unsigned bad_lanes = ballot(bad);
  if (threadIdx.x % 32 == 0) {
    values[threadIdx.x / 32] = best.value;
    ids[threadIdx.x / 32] = best.id;
    non_finite[threadIdx.x / 32] = bad_lanes;
  }
  __syncthreads();
  if (threadIdx.x != 0) return;
  std::uint32_t any = 0;
  for (unsigned w = 0; w < kThreads / 32; ++w) {
    best.take(values[w], ids[w]);
    any |= non_finite[w];
  }
  args.tokens[blockIdx.x] = best.id;
  args.non_finite[blockIdx.x] = any != 0 ? 1 : 0;
}

// One block of threads per kThreads columns and token.
LaunchShape columns_of(int columns, int tokens) {
  return {
      {(static_cast<unsigned>(columns) + kThreads - 1) / kThreads, static_cast<unsigned>(tokens)},
      {kThreads}};
}

}  // namespace

Error permute_weights(const PermuteWeightsArgs& args, Stream stream) {
  if (args.num_quads == 0) return Error{};
  return launch(
      permute_weights_kernel,
      {{static_cast<unsigned>(args.num_quads), static_cast<unsigned>(args.weights.panels())},
       {kThreads}},
      stream, args);
}

Error embed(const EmbedArgs& args, Stream stream) {
  if (args.num_tokens == 0) return Error{};
  return launch(embed_kernel, {{static_cast<unsigned>(args.num_tokens)}, {kThreads}}, stream, args);
}

Error swiglu(const SwigluArgs& args, Stream stream) {
  if (args.num_tokens == 0 || args.width == 0) return Error{};
  return launch(swiglu_kernel, columns_of(args.width, args.num_tokens), stream, args);
}

Error fold(const FoldArgs& args, Stream stream) {
  if (args.num_tokens == 0) return Error{};
  return launch(fold_kernel, columns_of(args.dim, args.num_tokens), stream, args);
}

Error argmax(const ArgmaxArgs& args, Stream stream) {
  if (args.num_rows == 0) return Error{};
  return launch(argmax_kernel, {{static_cast<unsigned>(args.num_rows)}, {kThreads}}, stream, args);
}

}  // namespace lockstep::cuda
