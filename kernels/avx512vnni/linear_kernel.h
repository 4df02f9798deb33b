// The quantized linear over vectors of 16 lanes, one for each row of a panel. What a vector is, `V`
// says: the processor's own (linear.cc), or one in plain C++, so that tests can prove this kernel
// on any machine.
//
//   V::Int, V::Float             16 x int32, 16 x binary32
//   load(p)                      64 bytes
//   low_nibbles(v), high_nibbles(v)  of each byte
//   word(p)                      4 bytes, broadcast
//   dot(sum, u, s)               sum + the 4 products of unsigned bytes u and signed bytes s of
//   each lane integer(i), add(a, b), times_256(v), to_float(v) number(f), halves(p), fma(a, b, c),
//   multiply(a, b), plus(a, b), load_floats(p), store(p, v) keep_order(sum)              nothing,
//   but the compiler computes `sum` before what follows
//
// Everything depends on V, which is a local type in each file: no two files share an instance, so
// code for AVX-512 cannot become the one copy that the linker keeps for the whole program.
#pragma once

#include <cstddef>
#include <cstdint>

#include "kernels/input_tile.h"
#include "kernels/ops.h"

namespace lockstep::kernels::avx512vnni {

template <typename V>
class LinearKernel {
 public:
  [[gnu::always_inline]] static inline void run(const LinearArgs& args) {
    if (args.panel_begin >= args.panel_end) return;
    const bool wide = args.input.bits == 16;
    switch (args.weight.format) {
      case WeightFormat::kQ4_0:
        wide ? all<WeightFormat::kQ4_0, 16>(args) : all<WeightFormat::kQ4_0, 8>(args);
        break;
      case WeightFormat::kQ4_1:
        wide ? all<WeightFormat::kQ4_1, 16>(args) : all<WeightFormat::kQ4_1, 8>(args);
        break;
      case WeightFormat::kQ8_0:
        wide ? all<WeightFormat::kQ8_0, 16>(args) : all<WeightFormat::kQ8_0, 8>(args);
        break;
      case WeightFormat::kF32:
        break;
    }
    clear_padding(args);
  }

 private:
  using Int = typename V::Int;
  using Float = typename V::Float;

  // Codes of a block of tokens that stay in the second-level cache while all panels pass over them.
  static constexpr int kTokenBlockBytes = 192 * 1024;

  template <int kPanels, int kTokens>
  struct Floats {
    Float of[kPanels][kTokens];
  };

  // Sums of products with both planes of the activations, over one group.
  template <int kPanels, int kTokens, int kPlanes>
  struct Sums {
    Int of[kPanels][kTokens][kPlanes];
  };

  template <WeightFormat kFormat>
  static constexpr int offset_of() {
    return kFormat == WeightFormat::kQ4_0 ? 8 : kFormat == WeightFormat::kQ8_0 ? 128 : 0;
  }

  // Multiplies `codes`, one vector a panel, with the activations at `k` of every token and plane.
  // The planes share the unpacked weights, the panels the broadcast activations.
  template <int kPanels, int kTokens, int kPlanes>
  [[gnu::always_inline]] static inline void multiply_codes(const Int (&codes)[kPanels],
                                                           const InputTile& input, std::ptrdiff_t k,
                                                           Sums<kPanels, kTokens, kPlanes>& sums) {
#pragma GCC unroll 8
    for (int t = 0; t < kTokens; ++t) {
#pragma GCC unroll 2
      for (int plane = 0; plane < kPlanes; ++plane) {
        const std::int8_t* x = plane == 0 ? input.lo : input.hi;
        const Int activations = V::word(x + t * input.k_padded + k);
#pragma GCC unroll 2
        for (int p = 0; p < kPanels; ++p) {
          Int& sum = sums.of[p][t][plane];
          sum = V::dot(sum, codes[p], activations);
          V::keep_order(sum);
        }
      }
    }
  }

  template <WeightFormat kFormat, int kPanels, int kTokens, int kPlanes>
  [[gnu::always_inline]] static inline void multiply_group(
      const std::uint8_t* const (&groups)[kPanels], const InputTile& input, std::ptrdiff_t g,
      Sums<kPanels, kTokens, kPlanes>& sums) {
    constexpr bool kBytes = kFormat == WeightFormat::kQ8_0;
    const std::ptrdiff_t k = g * kGroupSize;
#pragma GCC unroll 8
    for (int j = 0; j < (kBytes ? 8 : 4); ++j) {
      Int codes[kPanels];
#pragma GCC unroll 2
      for (int p = 0; p < kPanels; ++p) {
        codes[p] = V::load(groups[p] + p16_codes_offset(kFormat) + kCodeBlockBytes * j);
      }
      if constexpr (kBytes) {
        multiply_codes<kPanels, kTokens, kPlanes>(codes, input, k + 4 * j, sums);
      } else {
        Int nibbles[kPanels];
#pragma GCC unroll 2
        for (int p = 0; p < kPanels; ++p) nibbles[p] = V::low_nibbles(codes[p]);
        multiply_codes<kPanels, kTokens, kPlanes>(nibbles, input, k + 4 * j, sums);
#pragma GCC unroll 2
        for (int p = 0; p < kPanels; ++p) nibbles[p] = V::high_nibbles(codes[p]);
        multiply_codes<kPanels, kTokens, kPlanes>(nibbles, input, k + 16 + 4 * j, sums);
      }
    }
  }

  // Adds group `g` to the sums of a segment. Codes are unsigned: sums start at minus what their
  // offset will add.
  template <WeightFormat kFormat, int kBits, int kPanels, int kTokens>
  [[gnu::always_inline]] static inline void add_group(const std::uint8_t* const (&groups)[kPanels],
                                                      const InputTile& input, std::ptrdiff_t g,
                                                      Floats<kPanels, kTokens>& acc) {
    constexpr int kPlanes = kBits / 8;
    Sums<kPanels, kTokens, kPlanes> sums;
#pragma GCC unroll 8
    for (int t = 0; t < kTokens; ++t) {
      const Int start = V::integer(-offset_of<kFormat>() * input.sums[t * input.groups + g]);
#pragma GCC unroll 2
      for (int p = 0; p < kPanels; ++p) {
        sums.of[p][t][0] = start;
        if constexpr (kPlanes == 2) sums.of[p][t][1] = V::integer(0);
      }
    }
    multiply_group<kFormat, kPanels, kTokens, kPlanes>(groups, input, g, sums);
#pragma GCC unroll 2
    for (int p = 0; p < kPanels; ++p) {
      const Float d = V::halves(groups[p]);
#pragma GCC unroll 8
      for (int t = 0; t < kTokens; ++t) {
        Int isum = sums.of[p][t][0];
        if constexpr (kPlanes == 2) isum = V::add(isum, V::times_256(sums.of[p][t][1]));
        Float& sum = acc.of[p][t];
        Float scale = d;
        if constexpr (kBits == 8) {
          scale = V::multiply(d, V::number(input.scales[t * input.runs + g]));
        }
        sum = V::fma(V::to_float(isum), scale, sum);
        if constexpr (kFormat == WeightFormat::kQ4_1) {
          Float minimum = V::halves(groups[p] + 2 * kPanelRows);
          if constexpr (kBits == 8) {
            minimum = V::multiply(minimum, V::number(input.scales[t * input.runs + g]));
          }
          const auto xsum = static_cast<float>(input.sums[t * input.groups + g]);
          sum = V::fma(V::number(xsum), minimum, sum);
        }
      }
    }
  }

  // Outputs of kPanels panels for kTokens tokens.
  template <WeightFormat kFormat, int kBits, int kPanels, int kTokens>
  [[gnu::noinline]] static void tile(const LinearArgs& args, int panel, int first_token) {
    const InputTile input = tile_of(args.input, first_token);
    const std::uint8_t* groups[kPanels];
    for (int p = 0; p < kPanels; ++p) groups[p] = args.weight.panel(panel + p);
    const int num_groups = args.weight.groups();
    const int run = args.input.segment_groups;
    float* output = args.output + static_cast<std::ptrdiff_t>(first_token) * args.output_stride +
                    static_cast<std::ptrdiff_t>(panel) * kPanelRows;
    for (int s = 0; s < args.input.num_segments(); ++s) {
      Floats<kPanels, kTokens> acc;
      for (auto& panel_sums : acc.of) {
        for (Float& sum : panel_sums) sum = V::number(0.0f);
      }
      const int begin = s * run;
      const int end = num_groups - begin < run ? num_groups : begin + run;
      for (int g = begin; g < end; ++g) {
        add_group<kFormat, kBits, kPanels, kTokens>(groups, input, g, acc);
#pragma GCC unroll 2
        for (int p = 0; p < kPanels; ++p) groups[p] += p16_group_bytes(kFormat);
      }
#pragma GCC unroll 8
      for (int t = 0; t < kTokens; ++t) {
#pragma GCC unroll 2
        for (int p = 0; p < kPanels; ++p) {
          Float sum = acc.of[p][t];
          if constexpr (kBits == 16) {
            sum = V::multiply(sum, V::number(input.scales[t * input.runs + s]));
          }
          float* y = output + static_cast<std::ptrdiff_t>(t) * args.output_stride + kPanelRows * p;
          V::store(y, s == 0 && !args.accumulate ? sum : V::plus(V::load_floats(y), sum));
        }
      }
    }
  }

  // Tokens [first, last) of kPanels panels, in tiles as large as possible.
  template <WeightFormat kFormat, int kBits, int kPanels, int kTile>
  [[gnu::always_inline]] static inline void tokens(const LinearArgs& args, int panel, int first,
                                                   int last) {
    int t = first;
    for (; t + kTile <= last; t += kTile) tile<kFormat, kBits, kPanels, kTile>(args, panel, t);
    for (; t + 2 <= last; t += 2) tile<kFormat, kBits, kPanels, 2>(args, panel, t);
    for (; t < last; ++t) tile<kFormat, kBits, kPanels, 1>(args, panel, t);
  }

  template <WeightFormat kFormat, int kBits>
  [[gnu::noinline]] static void all(const LinearArgs& args) {
    // Two panels by as many tokens as 32 registers hold the sums of, whole numbers and floats.
    constexpr int kTile = kBits == 16 ? 4 : kFormat == WeightFormat::kQ4_1 ? 5 : 6;
    const int num_tokens = args.input.num_tokens;
    const int fitting = kTokenBlockBytes / (args.input.k_padded * (kBits / 8)) / kTile * kTile;
    const int block = fitting > kTile ? fitting : kTile;
    for (int first = 0; first < num_tokens; first += block) {
      const int last = num_tokens - first < block ? num_tokens : first + block;
      int panel = args.panel_begin;
      if (last - first >= kTile) {  // Fewer tokens are bound by memory: one panel, one stream.
        for (; panel + 2 <= args.panel_end; panel += 2) {
          tokens<kFormat, kBits, 2, kTile>(args, panel, first, last);
        }
      }
      for (; panel < args.panel_end; ++panel) {
        tokens<kFormat, kBits, 1, kTile>(args, panel, first, last);
      }
    }
  }

  static void clear_padding(const LinearArgs& args) {
    if (args.panel_end < args.weight.panels()) return;
    for (int t = 0; t < args.input.num_tokens; ++t) {
      float* output = args.output + static_cast<std::ptrdiff_t>(t) * args.output_stride;
      for (int n = args.weight.rows; n < args.weight.panels() * kPanelRows; ++n) output[n] = 0.0f;
    }
  }
};

}  // namespace lockstep::kernels::avx512vnni
