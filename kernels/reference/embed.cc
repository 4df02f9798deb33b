#include <cstddef>

#include "kernels/reference/primitives.h"
#include "kernels/reference/reference.h"

namespace lockstep::kernels::reference {

void embed(const EmbedArgs& args) {
  const MatrixView& table = args.table;
  for (int t = 0; t < args.num_tokens; ++t) {
    const std::uint8_t* panel = table.panel(args.rows[t] / kPanelRows);
    const int row = args.rows[t] % kPanelRows;
    float* output = args.output + static_cast<std::ptrdiff_t>(t) * args.output_stride;
    for (int g = 0; g < table.groups(); ++g) {
      PanelGroup group;
      decode_group(table.format,
                   panel + static_cast<std::size_t>(g) * p16_group_bytes(table.format), &group);
      for (int i = 0; i < kGroupSize && g * kGroupSize + i < table.k; ++i) {
        const float q = group.code(row, i);
        output[g * kGroupSize + i] = table.format == WeightFormat::kQ4_1
                                         ? __builtin_fmaf(q, group.d[row], group.m[row])
                                         : group.d[row] * q;
      }
    }
  }
}

}  // namespace lockstep::kernels::reference
