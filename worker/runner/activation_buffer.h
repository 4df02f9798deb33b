// Memory for the quantized activations of one linear, reused from call to call.
#pragma once

#include <cstdint>
#include <vector>

#include "kernels/ops.h"

namespace lockstep {

class ActivationBuffer {
 public:
  // Shapes the buffer for `num_tokens` vectors of `k` values in segments of `segment_groups`
  // groups.
  void reshape(int num_tokens, int k, int segment_groups, int bits);

  const kernels::Activations& view() const { return view_; }

  // Tokens [begin, end) of the buffer.
  kernels::Activations view(int begin, int end) const;

  // Makes all codes, scales and sums of one token 0.
  void clear_token(int token);

 private:
  std::vector<std::int8_t> codes_;
  std::vector<float> scales_;
  std::vector<std::int32_t> sums_;
  kernels::Activations view_;
};

}  // namespace lockstep
