// Paged attention: the choice of a kernel, and the fold of blocks of keys that were computed apart.
#include "kernels/cuda/attention_block.h"
#include "kernels/cuda/attention_launch.h"
#include "kernels/cuda/numerics.h"

namespace lockstep::cuda {
namespace {

constexpr int kFoldThreads = 128;

// Folds the blocks of one token and head. Grid: heads, tokens.
__global__ void __launch_bounds__(kFoldThreads) attention_fold_kernel(AttentionArgs args) {
  follow_previous();
  const std::size_t row = static_cast<std::size_t>(blockIdx.y) * args.num_heads + blockIdx.x;
  const int num_blocks = args.batch.positions[blockIdx.y] / kKeyBlock + 1;
  const int head_size = args.cache.head_size;
  const float* sums = args.sums + row * args.max_blocks * head_size;
  const float* states = args.states + row * args.max_blocks * 2;
  for (int d = static_cast<int>(threadIdx.x); d < head_size; d += kFoldThreads) {
    float m = states[0];
    float l = states[1];
    float o = sums[d];
    for (int block = 1; block < num_blocks; ++block) {
      const float block_m = states[2 * block];
      const float larger_m = m > block_m ? m : block_m;
      const float left = canonical_exp(m - larger_m);
      const float right = canonical_exp(block_m - larger_m);
      o = fused_multiply_add(sums[static_cast<std::size_t>(block) * head_size + d], right,
                             o * left);
      l = fused_multiply_add(states[2 * block + 1], right, l * left);
      m = larger_m;
    }
    args.output[row * head_size + d] = divide(o, l);
  }
}

}  // namespace

Error attention(const AttentionArgs& args, Stream stream) {
  if (args.num_tiles == 0) return Error{};
  const int head_size = args.cache.head_size;
  const int groups = kv_groups(head_size);
  AttentionShape shape{static_cast<float>(1.0 / __builtin_sqrt(static_cast<double>(head_size))),
                       (groups + groups_of_slice(groups) - 1) / groups_of_slice(groups)};
  // A division by a power of two.
  if (args.cache.kv_bits == 8) shape.score_scale /= static_cast<float>(head_size & -head_size);
  const auto launch_kernel =
      args.cache.kv_bits == 16 ? launch_attention_kv16 : launch_attention_kv8;
  const Error error = launch_kernel(args, shape, stream);
  if (error != Error{} || args.sums == nullptr) return error;
  return launch(attention_fold_kernel,
                {{static_cast<unsigned>(args.num_heads), static_cast<unsigned>(args.num_tokens)},
                 {kFoldThreads}},
                stream, args);
}

}  // namespace lockstep::cuda
