// The operations for processors with AVX2, FMA and F16C. Equal to reference/ on every input, bit by
// bit.
#pragma once

#include "kernels/ops.h"

namespace lockstep::kernels::avx2 {

void rms_norm(const RmsNormArgs& args);
bool quantize(const QuantizeArgs& args);
void linear(const LinearArgs& args);
void rope(const RopeArgs& args);
bool append_kv(const AppendKvArgs& args);
bool attention(const AttentionArgs& args);
bool attention_part(const AttentionPartArgs& args);
void attention_fold(const AttentionFoldArgs& args);
void swiglu(const SwigluArgs& args);

}  // namespace lockstep::kernels::avx2
