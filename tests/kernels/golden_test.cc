// The reference against values of an independent implementation (make_goldens.py), which has the
// same cases.
#include <gtest/gtest.h>

#include <array>
#include <cstring>

#include "kernels/canonical_exp.h"
#include "tests/kernels/golden_values.h"
#include "tests/kernels/kernel_support.h"

namespace lockstep::kernels {
namespace {

std::string name_of(const char* operation, std::initializer_list<int> numbers) {
  std::string name = operation;
  for (const int number : numbers) name.append(" ").append(std::to_string(number));
  return name;
}

void expect_golden(const std::string& name, std::span<const std::uint8_t> bytes) {
  for (const Golden& golden : kGoldens) {
    if (name != golden.name) continue;
    std::array<std::uint32_t, 4> first{};
    std::memcpy(first.data(), bytes.data(), std::min(bytes.size(), sizeof first));
    EXPECT_EQ(first, std::to_array(golden.first)) << name;
    EXPECT_EQ(fnv1a(bytes), golden.digest) << name;
    return;
  }
  ADD_FAILURE() << "no golden value is called " << name;
}

void expect_golden(const std::string& name, std::span<const float> values) {
  expect_golden(name, std::span<const std::uint8_t>(bytes_of(values)));
}

TEST(CanonicalExp, EqualsGoldenValues) {
  std::vector<float> results;
  for (int i = 0; i < 3300; ++i) {
    const float x = (-112.0f + static_cast<float>(i) * 0.0625f) +
                    SplitMix(static_cast<std::uint64_t>(i)).value() * 0x1p-8f;
    results.push_back(canonical_exp(x));
  }
  expect_golden("exp", results);
}

TEST(CanonicalExp, EqualsGoldenValuesOnAGrid) {
  std::vector<float> results;
  for (int i = 0; i < 400000; ++i) {
    results.push_back(canonical_exp(-112.0f + static_cast<float>(i) * 0x1p-11f));
  }
  expect_golden("exp grid", results);
}

TEST(ReferenceRmsNorm, EqualsGoldenValues) {
  for (const int dim : {1, 63, 64, 65, 576, 1000}) {
    SplitMix random(static_cast<std::uint64_t>(dim));
    std::vector<float> x = random.values(static_cast<std::size_t>(3 * dim));
    const std::vector<float> weight = random.values(static_cast<std::size_t>(dim));
    reference_backend().rms_norm({x.data(), weight.data(), x.data(), 3, dim, 1e-5f});
    expect_golden(name_of("rms_norm", {dim}), x);
  }
}

TEST(ReferenceQuantize, EqualsGoldenValues) {
  for (const int bits : {16, 8}) {
    const int limit = bits == 16 ? 32639 : 127;
    std::vector<float> x = SplitMix(static_cast<std::uint64_t>(limit)).values(4 * 128);
    for (std::size_t i = 0; i < 128; ++i) {
      x[128 + i] = 0;
      x[256 + i] *= 0x1p-100f;
      x[384 + i] *= 0x1p-90f;
    }
    StoredActivations output(4, 128, 4, bits);
    const Activations& codes = output.view();
    ASSERT_TRUE(reference_backend().quantize({x.data(), 128, 128, codes, 0, 4}));
    const std::size_t num_scales = bits == 16 ? 4 : 16;
    std::vector<std::uint8_t> bytes(4 * (4 * 128 + num_scales));
    for (std::size_t i = 0; i < 4 * 128; ++i) {
      const std::int32_t code = (bits == 16 ? 256 * codes.hi[i] : 0) + codes.lo[i];
      std::memcpy(bytes.data() + 4 * i, &code, 4);
    }
    std::memcpy(bytes.data() + 4 * 4 * 128, codes.scales, 4 * num_scales);
    expect_golden(name_of("quantize", {limit}), std::span<const std::uint8_t>(bytes));
  }
}

struct LinearShape {
  int rows, k, tokens, segment_groups;
};
constexpr LinearShape kLinearShapes[] = {
    {1, 32, 1, 32}, {37, 320, 3, 32}, {20, 2080, 2, 32}, {16, 576, 5, 5}};

void expect_golden_linear(WeightFormat format, int bits, const LinearShape& shape) {
  const auto [rows, k, tokens, segment_groups] = shape;
  SplitMix random(static_cast<std::uint64_t>(rows + 1000 * k));
  const StoredMatrix weight(random, format, rows, k);
  const std::vector<float> x = random.values(static_cast<std::size_t>(tokens * k));
  StoredActivations input(tokens, k, segment_groups, bits);
  ASSERT_TRUE(reference_backend().quantize({x.data(), k, k, input.view(), 0, tokens}));
  const int stride = 16 * weight.view().panels();
  std::vector<float> padded(static_cast<std::size_t>(tokens * stride));
  reference_backend().linear(
      {weight.view(), input.view(), padded.data(), stride, 0, weight.view().panels()});
  std::vector<float> output;
  for (int t = 0; t < tokens; ++t) {
    for (int n = 0; n < rows; ++n) {
      output.push_back(padded[static_cast<std::size_t>(t * stride + n)]);
    }
  }
  const std::string operation = "linear " + std::string(weight_format_name(format));
  expect_golden(name_of(operation.c_str(), {bits, rows, k, tokens, segment_groups}), output);
}

TEST(ReferenceLinear, EqualsGoldenValues) {
  for (const auto format : {WeightFormat::kQ4_0, WeightFormat::kQ4_1, WeightFormat::kQ8_0}) {
    for (const int bits : {16, 8}) {
      for (const LinearShape& shape : kLinearShapes) expect_golden_linear(format, bits, shape);
    }
  }
}

TEST(ReferenceEmbed, EqualsGoldenValues) {
  for (const auto format : {WeightFormat::kQ4_0, WeightFormat::kQ4_1, WeightFormat::kQ8_0}) {
    for (const LinearShape& shape : kLinearShapes) {
      SplitMix random(static_cast<std::uint64_t>(shape.rows + 1000 * shape.k));
      const StoredMatrix table(random, format, shape.rows, shape.k);
      const std::int32_t rows[] = {0, shape.rows - 1};
      std::vector<float> output(static_cast<std::size_t>(2 * shape.k));
      reference_backend().embed({table.view(), rows, output.data(), shape.k, 2});
      const std::string operation = "embed " + std::string(weight_format_name(format));
      expect_golden(name_of(operation.c_str(), {shape.rows, shape.k}), output);
    }
  }
}

TEST(ReferenceRope, EqualsGoldenValues) {
  SplitMix random(7);
  std::vector<float> x = random.values(3 * 2 * 20);
  const std::vector<float> cosines = random.values(3 * 8);
  const std::vector<float> sines = random.values(3 * 8);
  reference_backend().rope({x.data(), 40, cosines.data(), sines.data(), 3, 2, 20, 16});
  expect_golden("rope", x);
}

struct AttentionShape {
  int head_size, heads, kv_heads, position;
};

void expect_golden_attention(int bits, const AttentionShape& shape) {
  const auto [head_size, heads, kv_heads, position] = shape;
  SplitMix random(static_cast<std::uint64_t>(head_size + 1000 * position));
  const auto count = static_cast<std::size_t>((position + 1) * kv_heads * head_size);
  const std::vector<float> keys = random.values(count);
  const std::vector<float> values = random.values(count);
  const std::vector<float> queries = random.values(static_cast<std::size_t>(heads * head_size));
  StoredCache cache(random, position + 1, kv_heads, head_size, bits);
  ASSERT_TRUE(cache.append(reference_backend(), keys, values));
  const std::initializer_list<int> numbers = {bits, head_size, heads, kv_heads, position};
  expect_golden(name_of("append_kv", numbers),
                std::span<const std::uint8_t>(cache.bytes(position + 1)));
  std::vector<float> output(queries.size());
  ASSERT_TRUE(reference_backend().attention({queries.data(), output.data(), cache.view(),
                                             cache.block_table().data(), position, heads, 0,
                                             heads / kv_heads, heads / kv_heads}));
  expect_golden(name_of("attention", numbers), output);
}

TEST(ReferenceAttention, EqualsGoldenValues) {
  for (const int bits : {16, 8}) {
    for (const AttentionShape& shape :
         {AttentionShape{64, 9, 3, 0}, AttentionShape{64, 9, 3, 299}, AttentionShape{48, 4, 4, 127},
          AttentionShape{80, 4, 2, 128}, AttentionShape{1, 2, 1, 63},
          AttentionShape{512, 2, 1, 260}, AttentionShape{34, 8, 1, 15}}) {
      expect_golden_attention(bits, shape);
    }
  }
}

TEST(ReferenceSwiglu, EqualsGoldenValues) {
  SplitMix random(9);
  std::vector<float> gate = random.values(2 * 48);
  for (float& g : gate) g *= 8;
  const std::vector<float> up = random.values(2 * 48);
  std::vector<float> output(2 * 48);
  reference_backend().swiglu({gate.data(), up.data(), 48, 16, output.data(), 48, 2, 48});
  expect_golden("swiglu", output);
}

}  // namespace
}  // namespace lockstep::kernels
