// The launchers of the operations in kernels/device_ops.h. Each enqueues on `stream` and returns at
// once, allocates nothing, and reports launch errors only; what goes wrong inside a kernel shows
// when the stream is next waited for.
#pragma once

#include "kernels/cuda/device.h"
#include "kernels/device_ops.h"

namespace lockstep::cuda {

Error permute_weights(const PermuteWeightsArgs& args, Stream stream);
Error embed(const EmbedArgs& args, Stream stream);
Error rms_norm(const RmsNormArgs& args, Stream stream);
Error quantize(const QuantizeArgs& args, Stream stream);
inline constexpr int kMostFewTokens = 32;
Error linear_few(const LinearArgs& args, Stream stream);   // Up to kMostFewTokens tokens.
Error linear_many(const LinearArgs& args, Stream stream);  // Any number.
Error linear(const LinearArgs& args, Stream stream);       // The one that is faster.
Error prepare_attention(const PrepareAttentionArgs& args, Stream stream);
Error attention(const AttentionArgs& args, Stream stream);
Error swiglu(const SwigluArgs& args, Stream stream);
Error fold(const FoldArgs& args, Stream stream);
Error argmax(const ArgmaxArgs& args, Stream stream);

}  // namespace lockstep::cuda
