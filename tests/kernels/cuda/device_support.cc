#include "tests/kernels/cuda/device_support.h"

#include <algorithm>
#include <cstring>
#include <limits>

#include "kernels/cuda/emulator/grid.h"

namespace lockstep::cuda {

using kernels::reference_backend;
using kernels::SplitMix;

namespace {

constexpr float kRubbish = -1.5e30F;

std::size_t size_of(int a, int b = 1, int c = 1) {
  return static_cast<std::size_t>(a) * static_cast<std::size_t>(b) * static_cast<std::size_t>(c);
}

}  // namespace

StoredSegments::StoredSegments(int groups, int segment_groups) {
  for (int begin = 0; begin < groups; begin += segment_groups) {
    const int end = std::min(groups, begin + segment_groups);
    first_group_.push_back(end);
    first_quad_.push_back(first_quad_.back() + (end - begin + kQuadGroups - 1) / kQuadGroups);
  }
}

StoredSegments::StoredSegments(const std::vector<int>& groups) {
  for (const int count : groups) {
    first_group_.push_back(first_group_.back() + count);
    first_quad_.push_back(first_quad_.back() + (count + kQuadGroups - 1) / kQuadGroups);
  }
}

Segments StoredSegments::view() const {
  return {first_group_.data(), first_quad_.data(), static_cast<int>(first_quad_.size()) - 1,
          first_quad_.back()};
}

DeviceWeights::DeviceWeights(WeightFormat format, int rows, const Segments& segments)
    : view_{nullptr, format, rows, segments} {
  const std::size_t bytes = weight_bytes(view_);
  bytes_ = kernels::aligned_bytes(bytes);
  std::memset(bytes_.get(), 0x77, bytes);
  view_.data = bytes_.get();
}

std::string DeviceWeights::append(const kernels::MatrixView& matrix, int num_segments) {
  const Segments& segments = view_.segments;
  const int quads =
      segments.first_quad[segments_done_ + num_segments] - segments.first_quad[segments_done_];
  const Error error =
      permute_weights({matrix.data, matrix.groups(), segments_done_, quads, view_}, nullptr);
  segments_done_ += num_segments;
  return failure_of(error);
}

DeviceActivations::DeviceActivations(int num_tokens, int bits, const Segments& segments) {
  view_.num_tokens = num_tokens;
  view_.bits = bits;
  view_.segments = segments;
  const std::size_t bytes = activation_code_bytes(view_);
  codes_ = kernels::aligned_bytes(bytes);
  std::memset(codes_.get(), 0x55, bytes);
  sums_.assign(activation_sums(view_), 12345);
  scales_.assign(activation_scales(view_), kRubbish);
  view_.codes = codes_.get();
  view_.sums = sums_.data();
  view_.scales = scales_.data();
}

std::string failure_of(Error error) {
  if (error == Error::kNone) return {};
  const std::string failure = emulator::take_failure();
  return failure.empty() ? "launch refused: " + std::to_string(static_cast<int>(error)) : failure;
}

std::string LinearShape::text() const {
  std::string text(weight_format_name(format));
  for (const int number : {bits, rows, k, tokens, segment_groups}) {
    text.append(" ").append(std::to_string(number));
  }
  return text;
}

namespace {

// Quantizes `x` on the device and for the reference.
struct BothInputs {
  kernels::StoredActivations expected;
  DeviceActivations actual;
  std::string wrong;

  BothInputs(const std::vector<float>& x, int tokens, int k, int bits, int segment_groups,
             const Segments& segments)
      : expected(tokens, k, segment_groups, bits), actual(tokens, bits, segments) {
    if (!reference_backend().quantize({x.data(), k, k, expected.view(), 0, tokens})) {
      wrong = "the reference found a value that is not finite";
      return;
    }
    wrong = failure_of(quantize({x.data(), k, k, actual.view(), {}}, nullptr));
  }
};

// What the reference makes of the shape under `result`; `start`: what the output holds before.
std::vector<float> expected_linear(const kernels::MatrixView& weight,
                                   const kernels::Activations& input, LinearResult result,
                                   const std::vector<float>& start, int stride) {
  const int full = weight.panels() * kPanelRows;
  const int tokens = input.num_tokens;
  std::vector<float> folded(size_of(tokens, full));
  reference_backend().linear({weight, input, folded.data(), full, 0, weight.panels()});
  std::vector<float> expected = start;
  const auto at = [](std::vector<float>& v, int t, int row_stride, int n) -> float& {
    return v[size_of(t, row_stride) + size_of(n)];
  };
  if (result == LinearResult::kContinue) {
    reference_backend().linear({weight, input, expected.data(), stride, 0, weight.panels(), true});
  }
  for (int t = 0; t < tokens; ++t) {
    if (result == LinearResult::kSwiglu) {
      const float* gate = folded.data() + size_of(t, full);
      reference_backend().swiglu({gate, gate + kPanelRows, full, 2 * kPanelRows,
                                  expected.data() + size_of(t, stride), stride, 1, full / 2});
    }
    for (int n = 0; n < full; ++n) {
      if (result == LinearResult::kFold) at(expected, t, stride, n) = at(folded, t, full, n);
      if (result != LinearResult::kAdd || n >= weight.rows) continue;
      at(expected, t, stride, n) = at(expected, t, stride, n) + at(folded, t, full, n);
    }
  }
  return expected;
}

}  // namespace

std::string check_linear(LinearFunction function, const LinearShape& shape, LinearResult result,
                         std::uint64_t seed) {
  SplitMix random(seed);
  const kernels::StoredMatrix matrix(random, shape.format, shape.rows, shape.k);
  const StoredSegments segments(matrix.view().groups(), shape.segment_groups);
  DeviceWeights weights(shape.format, shape.rows, segments.view());
  std::string wrong = weights.append(matrix.view(), segments.view().count);
  if (!wrong.empty()) return wrong;
  const std::vector<float> x = random.values(size_of(shape.tokens, shape.k));
  const BothInputs input(x, shape.tokens, shape.k, shape.bits, shape.segment_groups,
                         segments.view());
  if (!input.wrong.empty()) return input.wrong;

  const int stride = matrix.view().panels() * kPanelRows + 5;
  const std::vector<float> start = random.values(size_of(shape.tokens, stride));
  std::vector<float> actual = start;
  const LinearArgs args{weights.view(), input.actual.view(), actual.data(), stride, result};
  if (result != LinearResult::kSegmentSums) {
    wrong = failure_of(function(args, nullptr));
    if (!wrong.empty()) return wrong;
    return kernels::first_difference(
        expected_linear(matrix.view(), input.expected.view(), result, start, stride), actual);
  }
  // The sums of all segments, folded, are the result.
  const int count = segments.view().count;
  std::vector<float> sums(size_of(count, shape.tokens, stride), kRubbish);
  LinearArgs to_sums = args;
  to_sums.output = sums.data();
  wrong = failure_of(function(to_sums, nullptr));
  if (!wrong.empty()) return wrong;
  wrong = failure_of(
      fold({sums.data(), count, stride, nullptr, actual.data(), stride, shape.tokens, stride - 5},
           nullptr));
  if (!wrong.empty()) return wrong;
  return kernels::first_difference(
      expected_linear(matrix.view(), input.expected.view(), LinearResult::kFold, start, stride),
      actual);
}

std::string check_ragged_linear(LinearFunction function, const LinearShape& shape,
                                std::uint64_t seed) {
  SplitMix random(seed);
  std::vector<int> groups;
  for (int i = 0; i < 3; ++i) groups.push_back(random.between(1, 9));
  const StoredSegments segments(groups);
  DeviceWeights weights(shape.format, shape.rows, segments.view());
  const int k = segments.groups() * kGroupSize;
  const std::vector<float> x = random.values(size_of(shape.tokens, k));
  DeviceActivations input(shape.tokens, shape.bits, segments.view());
  std::string wrong = failure_of(quantize({x.data(), k, k, input.view(), {}}, nullptr));
  if (!wrong.empty()) return wrong;

  const int stride = (shape.rows + kPanelRows - 1) / kPanelRows * kPanelRows;
  std::vector<float> expected(size_of(shape.tokens, stride));
  int column = 0;
  for (std::size_t i = 0; i < groups.size(); ++i) {
    const int part_k = groups[i] * kGroupSize;
    const kernels::StoredMatrix part(random, shape.format, shape.rows, part_k);
    wrong = weights.append(part.view(), 1);
    if (!wrong.empty()) return wrong;
    const kernels::StoredActivations codes(shape.tokens, part_k, groups[i], shape.bits);
    if (!reference_backend().quantize(
            {x.data() + column, k, part_k, codes.view(), 0, shape.tokens})) {
      return "not finite";
    }
    reference_backend().linear(
        {part.view(), codes.view(), expected.data(), stride, 0, part.view().panels(), i > 0});
    column += part_k;
  }
  std::vector<float> actual(expected.size(), kRubbish);
  wrong = failure_of(function({weights.view(), input.view(), actual.data(), stride}, nullptr));
  if (!wrong.empty()) return wrong;
  return kernels::first_difference(expected, actual);
}

namespace {

// The code of element k of a token, from tiles.
std::int32_t code_at(const ActivationTiles& tiles, int token, int group, int k) {
  const int lane = token % kTileTokens * 4 + k % 16 / 4;
  const std::size_t index = size_of(token / kTileTokens, tiles.groups()) + size_of(group);
  const auto* bytes = reinterpret_cast<const std::int8_t*>(tiles.codes) +
                      (index * 32 + size_of(lane)) * size_of(activation_lane_bytes(tiles.bits)) +
                      k / 16 * 4 + k % 4;
  return tiles.bits == 16 ? bytes[0] * 256 + bytes[8] : bytes[0];
}

// Where the codes, sums and scales of tiles differ from the reference's.
std::string activation_difference(const kernels::Activations& expected,
                                  const ActivationTiles& actual) {
  const Segments& segments = actual.segments;
  const auto place = [](int t, int g) {
    return " of token " + std::to_string(t) + " group " + std::to_string(g);
  };
  for (int t = 0; t < expected.num_tokens; ++t) {
    const std::size_t tile = size_of(t / kTileTokens);
    for (int g = 0; g < expected.groups(); ++g) {
      const int s = g / expected.segment_groups;
      const int group = segments.first_quad[s] * kQuadGroups + g - segments.first_group[s];
      const std::size_t padded = tile * size_of(actual.groups()) + size_of(group);
      for (int k = 0; k < kGroupSize; ++k) {
        const std::size_t at = size_of(t, expected.k_padded) + size_of(g * kGroupSize + k);
        const int code = expected.lo[at] + (expected.hi == nullptr ? 0 : 256 * expected.hi[at]);
        if (code != code_at(actual, t, group, k)) return "code" + place(t, g);
      }
      const std::size_t slot = size_of(t % kTileTokens);
      if (actual.sums[padded * kTileTokens + slot] !=
          expected.sums[size_of(t, expected.groups()) + size_of(g)]) {
        return "sum" + place(t, g);
      }
      const bool wide = expected.bits == 16;
      const std::size_t run = wide ? tile * size_of(segments.count) + size_of(s) : padded;
      const float scale = expected.scales[wide ? size_of(t, expected.num_segments()) + size_of(s)
                                               : size_of(t, expected.groups()) + size_of(g)];
      if (actual.scales[run * kTileTokens + slot] != scale) return "scale" + place(t, g);
    }
  }
  return {};
}

}  // namespace

std::string check_quantize(int tokens, int k, int segment_groups, int bits, bool norm,
                           std::uint64_t seed) {
  SplitMix random(seed);
  std::vector<float> x = random.values(size_of(tokens, k));
  const std::vector<float> weight = random.values(size_of(k));
  const StoredSegments segments((k + kGroupSize - 1) / kGroupSize, segment_groups);
  DeviceActivations actual(tokens, bits, segments.view());
  QuantizeArgs args{x.data(), k, k, actual.view(), {}};
  args.epsilon = 1e-5F;
  if (norm) args.norm_weight = weight.data();
  const std::string wrong = failure_of(quantize(args, nullptr));
  if (!wrong.empty()) return wrong;
  if (norm) {
    reference_backend().rms_norm({x.data(), weight.data(), x.data(), tokens, k, args.epsilon});
  }
  const kernels::StoredActivations expected(tokens, k, segment_groups, bits);
  if (!reference_backend().quantize({x.data(), k, k, expected.view(), 0, tokens})) {
    return "not finite";
  }
  return activation_difference(expected.view(), actual.view());
}

std::string check_rms_norm(int tokens, int dim, std::uint64_t seed) {
  SplitMix random(seed);
  const std::vector<float> x = random.values(size_of(tokens, dim));
  const std::vector<float> weight = random.values(size_of(dim));
  std::vector<float> expected(x.size());
  std::vector<float> actual(x.size(), kRubbish);
  reference_backend().rms_norm({x.data(), weight.data(), expected.data(), tokens, dim, 1e-5F});
  const std::string wrong =
      failure_of(rms_norm({x.data(), weight.data(), actual.data(), tokens, dim, 1e-5F}, nullptr));
  return wrong.empty() ? kernels::first_difference(expected, actual) : wrong;
}

std::string check_embed(WeightFormat format, int rows, int k, std::uint64_t seed) {
  SplitMix random(seed);
  const kernels::StoredMatrix matrix(random, format, rows, k);
  const StoredSegments segments(matrix.view().groups(), random.between(1, 33));
  DeviceWeights table(format, rows, segments.view());
  std::string wrong = table.append(matrix.view(), segments.view().count);
  if (!wrong.empty()) return wrong;
  std::vector<std::int32_t> ids;
  for (int i = 0; i < 5; ++i) ids.push_back(random.below(rows));
  std::vector<float> expected(size_of(5, k + 3), kRubbish);
  std::vector<float> actual = expected;
  reference_backend().embed({matrix.view(), ids.data(), expected.data(), k + 3, 5});
  wrong = failure_of(embed({table.view(), ids.data(), actual.data(), k + 3, k, 5}, nullptr));
  return wrong.empty() ? kernels::first_difference(expected, actual) : wrong;
}

std::string check_swiglu(int tokens, int width, bool alternating, std::uint64_t seed) {
  SplitMix random(seed);
  const int stride = 2 * width + 1;
  const std::vector<float> x = random.values(size_of(tokens, stride));
  std::vector<float> expected(size_of(tokens, width + 2), kRubbish);
  std::vector<float> actual = expected;
  const float* up = x.data() + (alternating ? kPanelRows : width);
  const int panel_stride = alternating ? 2 * kPanelRows : kPanelRows;
  reference_backend().swiglu(
      {x.data(), up, stride, panel_stride, expected.data(), width + 2, tokens, width});
  const std::string wrong = failure_of(swiglu(
      {x.data(), up, stride, panel_stride, actual.data(), width + 2, tokens, width}, nullptr));
  return wrong.empty() ? kernels::first_difference(expected, actual) : wrong;
}

std::string check_fold(int segments, int tokens, int dim, bool residual, std::uint64_t seed) {
  SplitMix random(seed);
  const std::vector<float> sums = random.values(size_of(segments, tokens, dim + 3));
  const std::vector<float> start = random.values(size_of(tokens, dim));
  std::vector<float> actual = start;
  const std::string wrong =
      failure_of(fold({sums.data(), segments, dim + 3, residual ? actual.data() : nullptr,
                       actual.data(), dim, tokens, dim},
                      nullptr));
  if (!wrong.empty()) return wrong;
  std::vector<float> expected = start;
  for (int t = 0; t < tokens; ++t) {
    for (int i = 0; i < dim; ++i) {
      const std::size_t at = size_of(t, dim + 3) + size_of(i);
      float total = sums[at];
      for (int s = 1; s < segments; ++s) total += sums[size_of(s, tokens, dim + 3) + at];
      float& out = expected[size_of(t, dim) + size_of(i)];
      out = residual ? out + total : total;
    }
  }
  return kernels::first_difference(expected, actual);
}

std::string check_argmax(int rows, int vocab_size, std::uint64_t seed) {
  SplitMix random(seed);
  std::vector<float> logits(size_of(rows, vocab_size));
  for (float& value : logits) value = static_cast<float>(random.between(-50, 50));  // Ties.
  const int bad_row = random.below(rows + 1);
  if (bad_row < rows) {
    logits[size_of(bad_row, vocab_size) + size_of(random.below(vocab_size))] =
        random.below(2) == 0 ? std::numeric_limits<float>::quiet_NaN()
                             : -std::numeric_limits<float>::infinity();
  }
  std::vector<std::uint32_t> tokens(size_of(rows), 7);
  std::vector<std::uint32_t> non_finite(size_of(rows), 7);
  const std::string wrong = failure_of(argmax(
      {logits.data(), vocab_size, rows, vocab_size, tokens.data(), non_finite.data()}, nullptr));
  if (!wrong.empty()) return wrong;
  for (int row = 0; row < rows; ++row) {
    const auto* begin = logits.data() + size_of(row, vocab_size);
    const auto expected = std::max_element(begin, begin + vocab_size) - begin;
    if (non_finite[size_of(row)] != (row == bad_row ? 1 : 0)) return "wrong about finite logits";
    if (row != bad_row && tokens[size_of(row)] != expected) return "wrong token";
  }
  return {};
}

}  // namespace lockstep::cuda
