#include <cstddef>

#include "kernels/reference/primitives.h"
#include "kernels/reference/reference.h"

namespace lockstep::kernels::reference {
namespace {

// Where one token's codes go.
struct TokenCodes {
  std::int8_t* hi;     // [k_padded]; null with 8 bits
  std::int8_t* lo;     // [k_padded]
  std::int32_t* sums;  // [groups]; start at 0
};

// Quantizes the elements [begin, end) of a token, which share one scale.
bool quantize_run(const float* v, int begin, int end, const TokenCodes& codes, float* scale) {
  const int limit = codes.hi != nullptr ? 32639 : 127;
  const Scaling scaling = scaling_of(v + begin, end - begin, limit);
  if (!scaling.finite) return false;
  *scale = scaling.scale;
  for (int i = begin; i < end; ++i) {
    const std::int32_t code = code_of(v[i], scaling);
    const auto lo = static_cast<std::int8_t>(code);  // The low byte, in [-128, 127].
    codes.lo[i] = lo;
    if (codes.hi != nullptr) codes.hi[i] = static_cast<std::int8_t>((code - lo) / 256);
    codes.sums[i / kGroupSize] += code;
  }
  return true;
}

}  // namespace

bool quantize(const QuantizeArgs& args) {
  const Activations& output = args.output;
  const bool wide = output.bits == 16;
  const int run = wide ? output.segment_groups * kGroupSize : kGroupSize;
  const int num_runs = wide ? output.num_segments() : output.groups();
  for (int t = args.token_begin; t < args.token_end; ++t) {
    const float* v = args.input + static_cast<std::ptrdiff_t>(t) * args.input_stride;
    const std::ptrdiff_t first = static_cast<std::ptrdiff_t>(t) * output.k_padded;
    const TokenCodes codes{wide ? output.hi + first : nullptr, output.lo + first,
                           output.sums + static_cast<std::ptrdiff_t>(t) * output.groups()};
    for (int i = args.k; i < output.k_padded; ++i) {
      codes.lo[i] = 0;
      if (wide) codes.hi[i] = 0;
    }
    for (int g = 0; g < output.groups(); ++g) codes.sums[g] = 0;
    float* scales = output.scales + static_cast<std::ptrdiff_t>(t) * num_runs;
    for (int r = 0; r < num_runs; ++r) {
      const int begin = r * run < args.k ? r * run : args.k;
      const int end = args.k - begin < run ? args.k : begin + run;
      if (!quantize_run(v, begin, end, codes, scales + r)) return false;
    }
  }
  return true;
}

}  // namespace lockstep::kernels::reference
