#include "kernels/cuda/attention_kernel.h"

namespace lockstep::cuda {

Error launch_attention_kv8(const AttentionArgs& args, const AttentionShape& shape, Stream stream) {
  return launch_attention<8>(args, shape, stream);
}

}  // namespace lockstep::cuda
