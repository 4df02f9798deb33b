// Every device's linear equals the reference on random shapes that break its tilings.
#include <gtest/gtest.h>

#include <string>

#include "tests/kernels/kernel_support.h"

namespace lockstep::kernels {
namespace {

struct LinearCase {
  WeightFormat format;
  int bits, rows, k, tokens, segment_groups, panel_begin, panel_end;
};

std::string describe(const LinearCase& c, std::uint64_t seed) {
  std::string text(weight_format_name(c.format));
  for (const int number :
       {c.bits, c.rows, c.k, c.tokens, c.segment_groups, c.panel_begin, c.panel_end}) {
    text.append(" ").append(std::to_string(number));
  }
  return text + " seed " + std::to_string(seed);
}

LinearCase random_case(SplitMix& random, WeightFormat format, int bits) {
  LinearCase c{format,
               bits,
               random.between(1, 300),
               random.between(32, 4096),
               random.between(1, 40),
               random.between(1, 40),
               0,
               0};
  // Work is rows * k * tokens: only one or two of them are large in a case.
  if (random.below(4) != 0) c.tokens = random.between(1, 9);
  if (random.below(4) != 0) c.rows = random.between(1, 70);
  if (random.below(4) != 0) c.k = random.between(32, 600);
  const int panels = (c.rows + 15) / 16;
  c.panel_begin = random.below(2) == 0 ? 0 : random.below(panels);
  c.panel_end = random.below(2) == 0 ? panels : random.between(c.panel_begin, panels);
  return c;
}

std::vector<float> run(const Backend& backend, const LinearCase& c, const MatrixView& weight,
                       const Activations& input) {
  const int stride = weight.panels() * 16 + 5;
  std::vector<float> output(static_cast<std::size_t>(c.tokens * stride), -7.0f);
  backend.linear({weight, input, output.data(), stride, c.panel_begin, c.panel_end});
  return output;
}

void expect_equal_linears(const Backend& backend, WeightFormat format, int bits, int count) {
  if (!backend.available()) GTEST_SKIP() << backend.name << " cannot run on this processor";
  for (int i = 0; i < count; ++i) {
    const auto seed = static_cast<std::uint64_t>(1000 * i + bits);
    SplitMix random(seed);
    const LinearCase c = random_case(random, format, bits);
    const StoredMatrix weight(random, format, c.rows, c.k);
    const auto x = random.values(static_cast<std::size_t>(c.tokens * c.k));
    const StoredActivations input(c.tokens, c.k, c.segment_groups, bits);
    ASSERT_TRUE(reference_backend().quantize({x.data(), c.k, c.k, input.view(), 0, c.tokens}));
    ASSERT_EQ(first_difference(run(reference_backend(), c, weight.view(), input.view()),
                               run(backend, c, weight.view(), input.view())),
              "")
        << backend.name << " " << describe(c, seed);
  }
}

using LinearParam = std::tuple<const Backend*, WeightFormat, int>;

class BackendLinear : public testing::TestWithParam<LinearParam> {};

TEST_P(BackendLinear, EqualsReference) {
  const auto [backend, format, bits] = GetParam();
  expect_equal_linears(*backend, format, bits, 40);
}

// Sets every code of the matrix and of the activations.
void fill_codes(const MatrixView& weight, int code, const Activations& input, int hi, int lo) {
  const std::size_t group = p16_group_bytes(weight.format);
  const std::size_t codes = p16_codes_offset(weight.format);
  for (int g = 0; g < weight.panels() * weight.groups(); ++g) {
    auto* bytes = const_cast<std::uint8_t*>(weight.data) + static_cast<std::size_t>(g) * group;
    std::fill(bytes + codes, bytes + group, static_cast<std::uint8_t>(code));
  }
  for (int i = 0; i < input.num_tokens * input.k_padded; ++i) {
    input.lo[i] = static_cast<std::int8_t>(lo);
    if (input.hi != nullptr) input.hi[i] = static_cast<std::int8_t>(hi);
  }
  for (int i = 0; i < input.num_tokens * input.groups(); ++i) {
    input.sums[i] = 32 * ((input.hi != nullptr ? 256 * hi : 0) + lo);
  }
}

// Codes of the largest magnitude: where an accumulator could saturate.
TEST_P(BackendLinear, EqualsReferenceOnExtremeCodes) {
  const auto [backend, format, bits] = GetParam();
  if (!backend->available()) GTEST_SKIP() << backend->name << " cannot run on this processor";
  SplitMix random(1);
  const StoredMatrix weight(random, format, 16, 64);
  const StoredActivations input(5, 64, 32, bits);
  const std::vector<float> x = random.values(5 * 64);
  ASSERT_TRUE(reference_backend().quantize({x.data(), 64, 64, input.view(), 0, 5}));
  const LinearCase c{format, bits, 16, 64, 5, 32, 0, 1};
  for (const int code : {0x00, 0xff}) {
    for (const int lo : {bits == 16 ? -128 : -127, 127}) {
      for (const int hi : {-127, 127}) {
        fill_codes(weight.view(), code, input.view(), hi, lo);
        EXPECT_EQ(first_difference(run(reference_backend(), c, weight.view(), input.view()),
                                   run(*backend, c, weight.view(), input.view())),
                  "")
            << code << " " << hi << " " << lo;
      }
    }
  }
}

std::string param_name(const testing::TestParamInfo<LinearParam>& info) {
  const auto [backend, format, bits] = info.param;
  std::string name = std::string(backend->name.substr(4)) + "_" +
                     std::string(weight_format_name(format)) + "_" + std::to_string(bits);
  return name;
}

INSTANTIATE_TEST_SUITE_P(All, BackendLinear,
                         testing::Combine(testing::ValuesIn(fast_backends()),
                                          testing::Values(WeightFormat::kQ4_0, WeightFormat::kQ4_1,
                                                          WeightFormat::kQ8_0),
                                          testing::Values(16, 8)),
                         param_name);

}  // namespace
}  // namespace lockstep::kernels
