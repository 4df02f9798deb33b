// Every device's operations equal the reference on random shapes; devices are found by name.
#include "kernels/backend.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>

#include "tests/kernels/kernel_support.h"

namespace lockstep::kernels {
namespace {

constexpr float kInfinity = std::numeric_limits<float>::infinity();
constexpr float kNan = std::numeric_limits<float>::quiet_NaN();

// Values of a vector whose scale varies a lot, zeros and tiny ones included.
std::vector<float> activations(SplitMix& random, int count) {
  std::vector<float> values = random.values(static_cast<std::size_t>(count));
  const float scale = std::ldexp(1.0f, random.between(-6, 6));
  for (float& v : values) v *= random.below(20) == 0 ? 0.0f : scale;
  switch (random.below(8)) {
    case 0:
      for (float& v : values) v *= 0x1p-104f;
      break;
    case 1:
      for (float& v : values) v = 0.0f;
      break;
    default:
      break;
  }
  return values;
}

class BackendOperation : public testing::TestWithParam<const Backend*> {
 protected:
  void SetUp() override {
    if (!GetParam()->available()) {
      GTEST_SKIP() << GetParam()->name << " cannot run on this processor";
    }
  }
  const Backend& device() const { return *GetParam(); }
};

TEST_P(BackendOperation, EmbedEqualsReference) {
  for (int i = 0; i < num_cases(100); ++i) {
    SplitMix random(static_cast<std::uint64_t>(i));
    const auto format = static_cast<WeightFormat>(i % 3);
    const int k = random.between(1, 300);
    const StoredMatrix table(random, format, random.between(1, 60), k);
    std::int32_t rows[3];
    for (std::int32_t& row : rows) row = random.below(table.view().rows);
    std::vector<float> expected(static_cast<std::size_t>(3 * (k + 3)), -7.0f);
    std::vector<float> actual = expected;
    reference_backend().embed({table.view(), rows, expected.data(), k + 3, 3});
    device().embed({table.view(), rows, actual.data(), k + 3, 3});
    ASSERT_EQ(first_difference(expected, actual), "") << "seed " << i;
  }
}

TEST_P(BackendOperation, RmsNormEqualsReference) {
  for (int i = 0; i < num_cases(200); ++i) {
    SplitMix random(static_cast<std::uint64_t>(i));
    const int dim = random.between(1, i % 4 == 0 ? 3000 : 200);
    const std::vector<float> x = activations(random, 3 * dim);
    const std::vector<float> weight = random.values(static_cast<std::size_t>(dim));
    std::vector<float> expected(x.size());
    std::vector<float> actual = x;  // In place.
    reference_backend().rms_norm({x.data(), weight.data(), expected.data(), 3, dim, 1e-5f});
    device().rms_norm({actual.data(), weight.data(), actual.data(), 3, dim, 1e-5f});
    ASSERT_EQ(first_difference(expected, actual), "") << "seed " << i;
  }
}

TEST_P(BackendOperation, QuantizeEqualsReference) {
  for (int i = 0; i < num_cases(400); ++i) {
    SplitMix random(static_cast<std::uint64_t>(i));
    const int bits = i % 2 == 0 ? 16 : 8;
    const int k = random.between(1, i % 4 == 0 ? 3000 : 200);
    const int tokens = random.between(1, 5);
    const int segment_groups = random.between(1, 40);
    std::vector<float> x;
    for (int t = 0; t < tokens; ++t) {
      const std::vector<float> token = activations(random, k + 2);
      x.insert(x.end(), token.begin(), token.end());
    }
    StoredActivations expected(tokens, k, segment_groups, bits);
    StoredActivations actual(tokens, k, segment_groups, bits);
    const int begin = random.below(tokens);
    ASSERT_TRUE(reference_backend().quantize({x.data(), k + 2, k, expected.view(), begin, tokens}));
    ASSERT_TRUE(device().quantize({x.data(), k + 2, k, actual.view(), begin, tokens}));
    ASSERT_EQ(expected.bytes(), actual.bytes()) << "seed " << i;
  }
}

TEST_P(BackendOperation, QuantizeRefusesNonFiniteValuesAnywhere) {
  for (const Backend* backend : {GetParam(), &reference_backend()}) {
    for (const int bits : {16, 8}) {
      for (const float bad : {kNan, -kNan, kInfinity, -kInfinity}) {
        for (int place = 0; place < 70; ++place) {
          std::vector<float> x(70, 1.0f);
          x[static_cast<std::size_t>(place)] = bad;
          StoredActivations output(1, 70, 1, bits);
          EXPECT_FALSE(backend->quantize({x.data(), 70, 70, output.view(), 0, 1})) << place;
          EXPECT_TRUE(backend->quantize({x.data(), 70, place, output.view(), 0, 1})) << place;
        }
      }
    }
  }
}

TEST_P(BackendOperation, RopeEqualsReference) {
  for (int i = 0; i < num_cases(200); ++i) {
    SplitMix random(static_cast<std::uint64_t>(i));
    const int head_size = random.between(2, 130);
    const int rotary = random.between(1, head_size / 2) * 2;
    const int heads = random.between(1, 4);
    const int stride = heads * head_size + random.below(3);
    std::vector<float> expected = activations(random, 3 * stride);
    std::vector<float> actual = expected;
    const auto cosines = random.values(static_cast<std::size_t>(3 * rotary / 2));
    const auto sines = random.values(static_cast<std::size_t>(3 * rotary / 2));
    const auto apply = [&](const Backend& backend, std::vector<float>& vectors) {
      backend.rope(
          {vectors.data(), stride, cosines.data(), sines.data(), 3, heads, head_size, rotary});
    };
    apply(reference_backend(), expected);
    apply(device(), actual);
    ASSERT_EQ(first_difference(expected, actual), "") << "seed " << i;
  }
}

TEST_P(BackendOperation, SwigluEqualsReference) {
  for (int i = 0; i < num_cases(200); ++i) {
    SplitMix random(static_cast<std::uint64_t>(i));
    const int width = 16 * random.between(1, 12);
    const bool alternating = i % 2 == 0;
    const int stride = alternating ? 2 * width : width;
    std::vector<float> gate = random.values(static_cast<std::size_t>(3 * stride + 16));
    for (float& g : gate) g *= 8;
    gate[0] = -90.0f;
    gate[1] = -kInfinity;
    gate[2] = kInfinity;
    gate[3] = -0.0f;
    gate[4] = 105.0f;
    const std::vector<float> up = random.values(static_cast<std::size_t>(3 * stride));
    std::vector<float> expected(static_cast<std::size_t>(3 * width));
    std::vector<float> actual(expected.size());
    const auto apply = [&](const Backend& backend, std::vector<float>& output) {
      backend.swiglu({gate.data(), alternating ? gate.data() + 16 : up.data(), stride,
                      alternating ? 32 : 16, output.data(), width, 3, width});
    };
    apply(reference_backend(), expected);
    apply(device(), actual);
    ASSERT_EQ(std::isnan(expected[1]), std::isnan(actual[1]));
    expected[1] = actual[1] = 0;  // -inf / inf: the bits of a NaN are nobody's promise.
    ASSERT_EQ(first_difference(expected, actual), "") << "seed " << i;
  }
}

TEST_P(BackendOperation, AddEqualsReference) {
  for (int i = 0; i < num_cases(100); ++i) {
    SplitMix random(static_cast<std::uint64_t>(i));
    const int dim = random.between(1, 200);
    std::vector<float> expected = activations(random, 3 * dim);
    std::vector<float> actual = expected;
    const std::vector<float> addend = activations(random, 3 * (dim + 2));
    reference_backend().add({expected.data(), addend.data(), dim + 2, 3, dim});
    device().add({actual.data(), addend.data(), dim + 2, 3, dim});
    ASSERT_EQ(first_difference(expected, actual), "") << "seed " << i;
  }
}

INSTANTIATE_TEST_SUITE_P(All, BackendOperation, testing::ValuesIn(fast_backends()),
                         [](const auto& param) {
                           return std::string(param.param->name.substr(4));
                         });

TEST(FindBackend, TakesTheFastestForAutoAndCpu) {
  const Backend* fastest = nullptr;
  for (const Backend* backend : all_backends()) {
    if (backend->available()) fastest = backend;
  }
  for (const char* name : {"auto", "cpu"}) {
    const auto found = find_backend(name);
    ASSERT_TRUE(found.ok());
    EXPECT_EQ(found.value(), fastest);
  }
}

TEST(FindBackend, FindsEveryDeviceByNameOrSaysWhatIsMissing) {
  for (const Backend* backend : all_backends()) {
    const auto found = find_backend(backend->name);
    if (backend->available()) {
      ASSERT_TRUE(found.ok());
      EXPECT_EQ(found.value(), backend);
    } else {
      ASSERT_FALSE(found.ok());
      EXPECT_EQ(found.error().code, ErrorCode::kUnavailable);
      EXPECT_NE(found.error().message.find("lacks"), std::string::npos);
    }
  }
}

TEST(FindBackend, ListsTheChoicesForAnUnknownName) {
  for (const char* name : {"", "gpu", "cpu:", "cpu:avx", "auto "}) {
    const auto found = find_backend(name);
    ASSERT_FALSE(found.ok());
    EXPECT_EQ(found.error().code, ErrorCode::kInvalidArgument);
    for (const Backend* backend : all_backends()) {
      EXPECT_NE(found.error().message.find(backend->name), std::string::npos);
    }
  }
}

}  // namespace
}  // namespace lockstep::kernels
