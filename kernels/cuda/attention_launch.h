// The kernel of attention alone, apart from the fold: one source for each width of the cache.
#pragma once

#include "kernels/cuda/launchers.h"

namespace lockstep::cuda {

// What the launcher knows and the kernel needs.
struct AttentionShape {
  float score_scale;
  int slices;  // Of the channels, of four groups each: a lane has the sums of one in registers.
};

// The kernel alone, for a cache of 16 or of 8 bits.
Error launch_attention_kv16(const AttentionArgs& args, const AttentionShape& shape, Stream stream);
Error launch_attention_kv8(const AttentionArgs& args, const AttentionShape& shape, Stream stream);

}  // namespace lockstep::cuda
