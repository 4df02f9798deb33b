#include "kernels/cuda/attention_kernel.h"

namespace lockstep::cuda {

Error launch_attention_kv16(const AttentionArgs& args, const AttentionShape& shape, Stream stream) {
  return launch_attention<16>(args, shape, stream);
}

}  // namespace lockstep::cuda
