// The operations in plain scalar C++ that reads like the numerics design. Every other
// implementation is compared with these for equality of bits.
#pragma once

#include "kernels/ops.h"

namespace lockstep::kernels::reference {

void embed(const EmbedArgs& args);
void rms_norm(const RmsNormArgs& args);
bool quantize(const QuantizeArgs& args);
void linear(const LinearArgs& args);
void rope(const RopeArgs& args);
bool append_kv(const AppendKvArgs& args);
bool attention(const AttentionArgs& args);
bool attention_part(const AttentionPartArgs& args);
void attention_fold(const AttentionFoldArgs& args);
void swiglu(const SwigluArgs& args);
void add(const AddArgs& args);

}  // namespace lockstep::kernels::reference
