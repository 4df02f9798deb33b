// Every device's linear equals the reference on random shapes that break its tilings.
#include <gtest/gtest.h>

#include <algorithm>
#include <set>
#include <string>

#include "tests/kernels/emulated_linear_support.h"
#include "tests/kernels/kernel_support.h"

namespace lockstep::kernels {
namespace {

// An implementation of linear that is compared with the reference.
struct Candidate {
  std::string name;
  void (*linear)(const LinearArgs&);
  bool available;
};

// Every device's, and the AVX-512 kernel in plain C++, which needs no such processor.
std::vector<Candidate> candidates() {
  std::vector<Candidate> all = {{"emulated_avx512vnni", emulated_linear, true}};
  for (const Backend* backend : fast_backends()) {
    all.push_back({std::string(backend->name.substr(4)), backend->linear, backend->available()});
  }
  return all;
}

constexpr int kCases = 40;  // Of each format and width; many more in the long run.

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
  if (random.below(4) != 0) c.tokens = random.between(1, 11);
  if (random.below(4) != 0) c.rows = random.between(1, 70);
  if (random.below(4) != 0) c.k = random.between(32, 600);
  const int panels = (c.rows + 15) / 16;
  c.panel_begin = random.below(2) == 0 ? 0 : random.below(panels);
  c.panel_end = random.below(2) == 0 ? panels : random.between(c.panel_begin, panels);
  return c;
}

// The cases are the same for every format and width: one per seed.
TEST(LinearCases, ReachTheirLimits) {
  std::set<int> tokens;
  int rows = 0;
  int k = 0;
  for (int seed = 0; seed < num_cases(kCases); ++seed) {
    SplitMix random(static_cast<std::uint64_t>(seed));
    const LinearCase c = random_case(random, WeightFormat::kQ4_0, 16);
    tokens.insert(c.tokens);
    rows = std::max(rows, c.rows);
    k = std::max(k, c.k);
  }
  for (int few = 1; few <= 10; ++few) EXPECT_TRUE(tokens.contains(few)) << few << " tokens";
  EXPECT_GE(*tokens.rbegin(), 38);  // Of 40.
  EXPECT_GE(rows, 280);             // Of 300.
  EXPECT_GE(k, 3800);               // Of 4,096.
}

std::vector<float> run(void (*linear)(const LinearArgs&), const LinearCase& c,
                       const MatrixView& weight, const Activations& input) {
  const int stride = weight.panels() * 16 + 5;
  std::vector<float> output(static_cast<std::size_t>(c.tokens * stride), -7.0f);
  linear({weight, input, output.data(), stride, c.panel_begin, c.panel_end});
  linear({weight, input, output.data(), stride, c.panel_begin, c.panel_end, true});
  return output;
}

using LinearParam = std::tuple<Candidate, WeightFormat, int>;

class BackendLinear : public testing::TestWithParam<LinearParam> {
 protected:
  void SetUp() override {
    if (!candidate().available) GTEST_SKIP() << candidate().name << ": not on this processor";
  }
  const Candidate& candidate() const { return std::get<0>(GetParam()); }
  WeightFormat format() const { return std::get<1>(GetParam()); }
  int bits() const { return std::get<2>(GetParam()); }

  void expect_equal(const LinearCase& c, const MatrixView& weight, const Activations& input,
                    const std::string& what) const {
    ASSERT_EQ(first_difference(run(reference_backend().linear, c, weight, input),
                               run(candidate().linear, c, weight, input)),
              "")
        << what;
  }

  void expect_equal_on_random_shapes(int count) const {
    for (int i = 0; i < count && !HasFatalFailure(); ++i) {
      const auto seed = static_cast<std::uint64_t>(i);
      SplitMix random(seed);
      const LinearCase c = random_case(random, format(), bits());
      const StoredMatrix weight(random, format(), c.rows, c.k);
      const auto x = random.values(static_cast<std::size_t>(c.tokens * c.k));
      const StoredActivations input(c.tokens, c.k, c.segment_groups, bits());
      ASSERT_TRUE(reference_backend().quantize({x.data(), c.k, c.k, input.view(), 0, c.tokens}));
      expect_equal(c, weight.view(), input.view(), describe(c, seed));
    }
  }
};

TEST_P(BackendLinear, EqualsReference) { expect_equal_on_random_shapes(num_cases(kCases)); }

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
  SplitMix random(1);
  const StoredMatrix weight(random, format(), 40, 64);
  const StoredActivations input(7, 64, 32, bits());
  const std::vector<float> x = random.values(7 * 64);
  ASSERT_TRUE(reference_backend().quantize({x.data(), 64, 64, input.view(), 0, 7}));
  const LinearCase c{format(), bits(), 40, 64, 7, 32, 0, 3};
  for (const int code : {0x00, 0xff}) {
    for (const int lo : {bits() == 16 ? -128 : -127, 127}) {
      for (const int hi : {-127, 127}) {
        fill_codes(weight.view(), code, input.view(), hi, lo);
        expect_equal(c, weight.view(), input.view(), std::to_string(code));
      }
    }
  }
}

std::string param_name(const testing::TestParamInfo<LinearParam>& info) {
  const auto& [candidate, format, bits] = info.param;
  return candidate.name + "_" + std::string(weight_format_name(format)) + "_" +
         std::to_string(bits);
}

INSTANTIATE_TEST_SUITE_P(All, BackendLinear,
                         testing::Combine(testing::ValuesIn(candidates()),
                                          testing::Values(WeightFormat::kQ4_0, WeightFormat::kQ4_1,
                                                          WeightFormat::kQ8_0),
                                          testing::Values(16, 8)),
                         param_name);

}  // namespace
}  // namespace lockstep::kernels
