// The kernel of attention alone, apart from the fold: one source for each width of the cache.
#pragma once

#include "kernels/cuda/launchers.h"

namespace lockstep::cuda {

// The groups of 32 channels whose sums a lane has in registers, of a head of so many; of 0, any
// number.
constexpr int groups_of_slice(int groups) {
  if (groups == 8) return 4;
  return groups >= 2 && groups <= 4 ? groups : 2;
}

// What the launcher knows and the kernel needs.
struct AttentionShape {
  float score_scale;
  int slices;  // Of the channels; each has blocks of threads of its own.
};

// The kernel alone, for a cache of 16 or of 8 bits.
Error launch_attention_kv16(const AttentionArgs& args, const AttentionShape& shape, Stream stream);
Error launch_attention_kv8(const AttentionArgs& args, const AttentionShape& shape, Stream stream);

}  // namespace lockstep::cuda
