// Every kernel equals the reference, bit by bit, on the emulated device under several schedules.
#include <gtest/gtest.h>

#include <string>

#include "kernels/cuda/emulator/grid.h"
#include "tests/kernels/cuda/device_support.h"

namespace lockstep::cuda {
namespace {

using kernels::num_cases;
using kernels::SplitMix;

constexpr int kTokenCounts[] = {1, 2, 7, 8, 9, 16, 17, 63, 128, 129};
constexpr WeightFormat kFormats[] = {WeightFormat::kQ4_0, WeightFormat::kQ4_1, WeightFormat::kQ8_0};

void use_seed(std::uint64_t seed) { emulator::set_options({seed, 2}); }

class LinearKernel : public testing::TestWithParam<std::tuple<WeightFormat, int>> {
 protected:
  WeightFormat format() const { return std::get<0>(GetParam()); }
  int bits() const { return std::get<1>(GetParam()); }

  static void expect_equal(LinearFunction function, const LinearShape& shape, LinearResult result,
                           std::uint64_t seed) {
    use_seed(seed);
    EXPECT_EQ(check_linear(function, shape, result, seed), "")
        << shape.text() << " result " << static_cast<int>(result) << " seed " << seed;
  }
};

// Work is rows * k * tokens: only one or two of them are large in a case.
LinearShape random_shape(SplitMix& random, WeightFormat format, int bits, int tokens) {
  LinearShape shape{format,
                    bits,
                    random.between(1, tokens > 9 ? 70 : 300),
                    random.between(32, 4096),
                    tokens,
                    random.between(1, 40)};
  if (tokens > 9 || shape.rows > 40) shape.k = random.between(32, 400);
  return shape;
}

TEST_P(LinearKernel, OfFewTokensEqualsReference) {
  for (int i = 0; i < num_cases(12); ++i) {
    SplitMix random(static_cast<std::uint64_t>(i));
    const int tokens = kTokenCounts[i % 7];
    expect_equal(linear_few, random_shape(random, format(), bits(), tokens), LinearResult::kFold,
                 static_cast<std::uint64_t>(i));
  }
}

TEST_P(LinearKernel, OfManyTokensEqualsReference) {
  for (int i = 0; i < num_cases(10); ++i) {
    SplitMix random(static_cast<std::uint64_t>(i) + 100);
    const int tokens = kTokenCounts[i % 10];
    expect_equal(linear_many, random_shape(random, format(), bits(), tokens), LinearResult::kFold,
                 static_cast<std::uint64_t>(i));
  }
}

TEST_P(LinearKernel, HasOtherResults) {
  for (const auto function : {linear_few, linear_many}) {
    for (const LinearResult result :
         {LinearResult::kContinue, LinearResult::kSegmentSums, LinearResult::kAdd}) {
      expect_equal(function, {format(), bits(), 41, 300, 9, 4}, result, 3);
    }
    expect_equal(function, {format(), bits(), 64, 300, 9, 4}, LinearResult::kSwiglu, 4);
    expect_equal(function, {format(), bits(), 352, 40, 2, 1}, LinearResult::kSwiglu, 5);
  }
}

TEST_P(LinearKernel, TakesSegmentsOfAnyLengths) {
  for (std::uint64_t seed = 0; seed < 4; ++seed) {
    use_seed(seed);
    for (const auto function : {linear_few, linear_many}) {
      EXPECT_EQ(check_ragged_linear(function, {format(), bits(), 50, 0, 10, 0}, seed), "")
          << "seed " << seed;
    }
  }
}

INSTANTIATE_TEST_SUITE_P(All, LinearKernel,
                         testing::Combine(testing::ValuesIn(kFormats), testing::Values(16, 8)),
                         [](const auto& param) {
                           return std::string(weight_format_name(std::get<0>(param.param))) + "_" +
                                  std::to_string(std::get<1>(param.param));
                         });

TEST(QuantizeKernel, EqualsReference) {
  for (int i = 0; i < num_cases(24); ++i) {
    const auto seed = static_cast<std::uint64_t>(i);
    use_seed(seed);
    SplitMix random(seed);
    const int tokens = kTokenCounts[i % 7];
    const int k = random.between(1, 2100);
    const int segment_groups = random.between(1, 40);
    EXPECT_EQ(check_quantize(tokens, k, segment_groups, i % 2 == 0 ? 16 : 8, i % 3 == 0, seed), "")
        << "seed " << seed << " k " << k << " segments of " << segment_groups;
  }
}

// The first token has an infinity; it is noted, and the second is not disturbed.
TEST(QuantizeKernel, NotesWhatIsNotFinite) {
  for (const int bits : {16, 8}) {
    const StoredSegments segments(4, 2);
    std::vector<float> x(256, 1.0F);
    x[70] = std::numeric_limits<float>::infinity();
    const DeviceActivations output(2, bits, segments.view());
    std::vector<std::uint32_t> flags(3, 0xFFFFFFFFU);
    const std::vector<std::int32_t> sequences = {2, 0};
    QuantizeArgs args{x.data(), 128, 128, output.view(), {flags.data(), sequences.data(), 9}};
    ASSERT_EQ(quantize(args, nullptr), Error::kNone);
    EXPECT_EQ(flags, (std::vector<std::uint32_t>{0xFFFFFFFFU, 0xFFFFFFFFU, 9}));
    args.report.code = 12;  // Later: the first stays.
    ASSERT_EQ(quantize(args, nullptr), Error::kNone);
    EXPECT_EQ(flags[2], 9U);
  }
}

TEST(RmsNormKernel, EqualsReference) {
  for (const int dim : {1, 63, 64, 65, 576, 2048}) {
    use_seed(static_cast<std::uint64_t>(dim));
    EXPECT_EQ(check_rms_norm(3, dim, 7), "") << dim;
  }
}

TEST(EmbedKernel, EqualsReference) {
  for (const WeightFormat format : kFormats) {
    for (const int k : {32, 100, 576, 1300}) {
      EXPECT_EQ(check_embed(format, 53, k, static_cast<std::uint64_t>(k)), "") << k;
    }
  }
}

TEST(SwigluKernel, EqualsReference) {
  for (const bool alternating : {false, true}) {
    for (const int width : {16, 256, 272}) {
      EXPECT_EQ(check_swiglu(3, width, alternating, 1), "") << width;
    }
  }
}

TEST(FoldKernel, IsTheLeftFold) {
  for (const bool residual : {false, true}) {
    for (const int segments : {1, 2, 9}) EXPECT_EQ(check_fold(segments, 3, 300, residual, 1), "");
  }
}

TEST(ArgmaxKernel, IsTheFirstOfTheLargest) {
  for (std::uint64_t seed = 0; seed < 10; ++seed) {
    use_seed(seed);
    for (const int size : {1, 31, 257, 5000}) EXPECT_EQ(check_argmax(3, size, seed), "") << size;
  }
}

class AttentionKernel : public testing::TestWithParam<std::tuple<int, bool>> {
 protected:
  AttentionCase base() const {
    AttentionCase c;
    c.kv_bits = std::get<0>(GetParam());
    c.split = std::get<1>(GetParam());
    return c;
  }
  static void expect_equal(const AttentionCase& c, std::uint64_t seed) {
    use_seed(seed);
    EXPECT_EQ(check_attention(c, seed), "") << c.text() << " seed " << seed;
  }
};

TEST_P(AttentionKernel, EqualsReferenceForAllHeadSizes) {
  for (const int head_size : {16, 20, 32, 64, 80, 96, 100, 128, 256}) {
    AttentionCase c = base();
    c.head_size = head_size;
    c.sequences = {{0, 3}, {126, 3}, {270, 1}};
    expect_equal(c, static_cast<std::uint64_t>(head_size));
  }
}

TEST_P(AttentionKernel, EqualsReferenceOnRandomBatches) {
  for (int i = 0; i < num_cases(8); ++i) {
    SplitMix random(static_cast<std::uint64_t>(i));
    AttentionCase c = base();
    c.head_size = i % 2 == 0 ? 64 : 32;
    c.query_group = random.between(1, 10);
    c.first_group_left = random.between(1, c.query_group);
    c.num_heads = random.between(1, 12);
    for (int s = random.between(1, 3); s > 0; --s) {
      c.sequences.emplace_back(random.below(300), random.below(3) == 0 ? random.between(2, 20) : 1);
    }
    expect_equal(c, static_cast<std::uint64_t>(i));
  }
}

TEST_P(AttentionKernel, EqualsReferenceInALongContext) {
  AttentionCase c = base();
  c.head_size = 32;
  c.sequences = {{1999, 2}};
  expect_equal(c, 1);
}

INSTANTIATE_TEST_SUITE_P(All, AttentionKernel,
                         testing::Combine(testing::Values(16, 8), testing::Bool()),
                         [](const auto& param) {
                           return "kv" + std::to_string(std::get<0>(param.param)) +
                                  (std::get<1>(param.param) ? "_split" : "_whole");
                         });

}  // namespace
}  // namespace lockstep::cuda
