#include <cstddef>

#include "kernels/reference/primitives.h"
#include "kernels/reference/reference.h"

namespace lockstep::kernels::reference {
namespace {

// One group of one token's activations.
struct InputGroup {
  std::int32_t codes[kGroupSize];
  std::int32_t sum;
  float scale;  // 8 bits: of the group. 16 bits: 1, since the segment's scale comes last.
};

InputGroup input_group(const Activations& input, int t, int g) {
  InputGroup group;
  const std::ptrdiff_t first =
      static_cast<std::ptrdiff_t>(t) * input.k_padded + static_cast<std::ptrdiff_t>(g) * kGroupSize;
  for (int i = 0; i < kGroupSize; ++i) {
    group.codes[i] = input.lo[first + i] + (input.bits == 16 ? 256 * input.hi[first + i] : 0);
  }
  const std::ptrdiff_t index = static_cast<std::ptrdiff_t>(t) * input.groups() + g;
  group.sum = input.sums[index];
  group.scale = input.bits == 16 ? 1.0f : input.scales[index];
  return group;
}

// Adds one group to the 16 sums of a panel. (A product with 1 is exact: the two widths share the
// formula.)
void accumulate(const PanelGroup& weight, const InputGroup& input, bool asymmetric, float* acc) {
  for (int row = 0; row < kPanelRows; ++row) {
    std::int32_t isum = 0;
    for (int i = 0; i < kGroupSize; ++i) isum += input.codes[i] * weight.code(row, i);
    acc[row] = __builtin_fmaf(static_cast<float>(isum), weight.d[row] * input.scale, acc[row]);
    if (asymmetric) {
      acc[row] =
          __builtin_fmaf(static_cast<float>(input.sum), weight.m[row] * input.scale, acc[row]);
    }
  }
}

// The outputs of one panel for one token: segments folded from the left.
void panel_times_token(const LinearArgs& args, int panel, int t, float* output) {
  const MatrixView& weight = args.weight;
  const Activations& input = args.input;
  for (int s = 0; s < input.num_segments(); ++s) {
    float acc[kPanelRows] = {};
    const int begin = s * input.segment_groups;
    const int end = weight.groups() - begin < input.segment_groups ? weight.groups()
                                                                   : begin + input.segment_groups;
    for (int g = begin; g < end; ++g) {
      PanelGroup group;
      decode_group(
          weight.format,
          weight.panel(panel) + static_cast<std::size_t>(g) * p16_group_bytes(weight.format),
          &group);
      accumulate(group, input_group(input, t, g), weight.format == WeightFormat::kQ4_1, acc);
    }
    for (int row = 0; row < kPanelRows; ++row) {
      const float p =
          input.bits == 16
              ? acc[row] * input.scales[static_cast<std::ptrdiff_t>(t) * input.num_segments() + s]
              : acc[row];
      output[row] = s == 0 && !args.accumulate ? p : output[row] + p;
    }
  }
}

}  // namespace

void linear(const LinearArgs& args) {
  for (int panel = args.panel_begin; panel < args.panel_end; ++panel) {
    for (int t = 0; t < args.input.num_tokens; ++t) {
      float* output = args.output + static_cast<std::ptrdiff_t>(t) * args.output_stride +
                      static_cast<std::ptrdiff_t>(panel) * kPanelRows;
      panel_times_token(args, panel, t, output);
      for (int row = 0; row < kPanelRows; ++row) {
        if (panel * kPanelRows + row >= args.weight.rows) output[row] = 0.0f;
      }
    }
  }
}

}  // namespace lockstep::kernels::reference
