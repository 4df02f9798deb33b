// Every device's cache and attention equal the reference on random shapes.
#include <gtest/gtest.h>

#include <limits>
#include <string>

#include "tests/kernels/kernel_support.h"

namespace lockstep::kernels {
namespace {

struct Shape {
  int head_size, num_heads, kv_heads, first_kv_head, first_group_left, query_group, position;
  int num_tokens;

  int width() const { return num_heads * head_size; }
};

Shape random_shape(SplitMix& random) {
  Shape shape{};
  const int sizes[] = {16, 32, 48, 64, 80, 96, 112, 128, 256, 512, 1, 20, 33, 100};
  shape.head_size = sizes[random.below(14)];
  shape.query_group = random.between(1, 10);
  shape.kv_heads = random.between(1, 4);
  shape.first_kv_head = random.below(shape.kv_heads);
  shape.first_group_left = random.between(1, shape.query_group);
  const int most =
      shape.first_group_left + (shape.kv_heads - 1 - shape.first_kv_head) * shape.query_group;
  shape.num_heads = random.between(1, most);
  const int edges[] = {0, 1, 15, 16, 63, 64, 127, 128, 129, 255, 256};
  shape.position = random.below(2) == 0 ? edges[random.below(11)] : random.below(400);
  if (shape.head_size > 128) shape.position %= 150;
  shape.num_tokens = random.below(2) == 0 ? 1 : random.between(2, 20);
  return shape;
}

AttentionArgs attention_args(const Shape& shape, const StoredCache& cache,
                             const std::vector<float>& queries, int stride,
                             std::vector<float>* output) {
  return {queries.data(),
          output->data(),
          cache.view(),
          cache.block_table().data(),
          shape.position,
          shape.num_heads,
          shape.first_kv_head,
          shape.first_group_left,
          shape.query_group,
          shape.num_tokens,
          stride};
}

// All of a token's attention in parts of random size, in order, and then the fold.
std::vector<float> attend_in_parts(const Backend& backend, const AttentionArgs& args,
                                   SplitMix& random) {
  AttentionPartArgs part{args, nullptr, nullptr, 0, 0};
  const auto rows = static_cast<std::size_t>(part.num_blocks() * args.num_heads);
  std::vector<float> sums(rows * static_cast<std::size_t>(args.cache.head_size));
  std::vector<float> states(2 * rows);
  part.sums = sums.data();
  part.states = states.data();
  while (part.unit_end < part.num_units()) {
    part.unit_begin = part.unit_end;
    part.unit_end += random.between(1, part.num_units() - part.unit_begin);
    EXPECT_TRUE(backend.attention_part(part));
  }
  std::vector<float> output(static_cast<std::size_t>(args.num_heads * args.cache.head_size));
  AttentionFoldArgs fold{sums.data(),
                         states.data(),
                         output.data(),
                         part.num_blocks(),
                         args.num_heads,
                         args.cache.head_size,
                         0,
                         0};
  while (fold.head_end < args.num_heads) {
    fold.head_begin = fold.head_end;
    fold.head_end += random.between(1, args.num_heads - fold.head_begin);
    backend.attention_fold(fold);
  }
  return output;
}

class BackendAttention : public testing::TestWithParam<std::tuple<const Backend*, int>> {
 protected:
  void SetUp() override {
    const Backend& backend = *std::get<0>(GetParam());
    if (!backend.available()) GTEST_SKIP() << backend.name << " cannot run on this processor";
  }
  const Backend& device() const { return *std::get<0>(GetParam()); }
  int kv_bits() const { return std::get<1>(GetParam()); }
};

TEST_P(BackendAttention, EqualsReference) {
  for (int i = 0; i < num_cases(60); ++i) {
    SplitMix random(static_cast<std::uint64_t>(i));
    const Shape shape = random_shape(random);
    const int tokens = shape.position + shape.num_tokens;
    const auto count = static_cast<std::size_t>(tokens * shape.kv_heads * shape.head_size);
    std::vector<float> keys = random.values(count);
    const std::vector<float> values = random.values(count);
    if (i % 3 == 0) {
      for (float& key : keys) key *= 0.05f;  // Many positions of comparable weight.
    }
    StoredCache expected_cache(random, tokens, shape.kv_heads, shape.head_size, kv_bits());
    SplitMix same(0);
    StoredCache cache(same, tokens, shape.kv_heads, shape.head_size, kv_bits());
    ASSERT_TRUE(expected_cache.append(reference_backend(), keys, values));
    ASSERT_TRUE(cache.append(device(), keys, values));
    ASSERT_EQ(expected_cache.bytes(tokens), cache.bytes(tokens)) << "seed " << i;

    const int stride = shape.width() + random.below(3);
    const std::vector<float> queries =
        random.values(static_cast<std::size_t>(shape.num_tokens * stride));
    std::vector<float> expected(queries.size());
    std::vector<float> actual(queries.size());
    ASSERT_TRUE(reference_backend().attention(
        attention_args(shape, expected_cache, queries, stride, &expected)));
    const AttentionArgs args = attention_args(shape, cache, queries, stride, &actual);
    ASSERT_TRUE(device().attention(args));
    ASSERT_EQ(first_difference(expected, actual), "")
        << "seed " << i << " head size " << shape.head_size << " position " << shape.position
        << " tokens " << shape.num_tokens;
    if (shape.num_tokens > 1) continue;
    expected.resize(static_cast<std::size_t>(shape.width()));
    ASSERT_EQ(first_difference(expected, attend_in_parts(device(), args, random)), "")
        << "in parts: seed " << i << " head size " << shape.head_size << " position "
        << shape.position;
  }
}

TEST_P(BackendAttention, EqualsReferenceInLongContexts) {
  for (const int position : {1999, 4095}) {
    SplitMix random(static_cast<std::uint64_t>(position));
    const Shape shape{32, 3, 1, 0, 3, 3, position, 1};
    const auto count = static_cast<std::size_t>((position + 1) * shape.head_size);
    const std::vector<float> keys = random.values(count);
    const std::vector<float> values = random.values(count);
    StoredCache cache(random, position + 1, 1, shape.head_size, kv_bits());
    ASSERT_TRUE(cache.append(device(), keys, values));
    const std::vector<float> queries = random.values(static_cast<std::size_t>(shape.width()));
    std::vector<float> expected(queries.size());
    std::vector<float> actual(queries.size());
    ASSERT_TRUE(reference_backend().attention(
        attention_args(shape, cache, queries, shape.width(), &expected)));
    const AttentionArgs args = attention_args(shape, cache, queries, shape.width(), &actual);
    ASSERT_TRUE(device().attention(args));
    EXPECT_EQ(first_difference(expected, actual), "");
    EXPECT_EQ(first_difference(expected, attend_in_parts(device(), args, random)), "");
  }
}

TEST_P(BackendAttention, RefusesNonFiniteValues) {
  constexpr int kSize = 32;
  for (const Backend* backend : {&device(), &reference_backend()}) {
    for (const float bad :
         {std::numeric_limits<float>::quiet_NaN(), -std::numeric_limits<float>::infinity()}) {
      for (int place = 0; place < kSize; ++place) {
        SplitMix random(0);
        StoredCache cache(random, 1, 1, kSize, kv_bits());
        const std::vector<float> good(kSize, 0.5f);
        std::vector<float> ill = good;
        ill[static_cast<std::size_t>(place)] = bad;
        EXPECT_FALSE(cache.append(*backend, ill, good));
        EXPECT_FALSE(cache.append(*backend, good, ill));
        ASSERT_TRUE(cache.append(*backend, good, good));
        std::vector<float> output(kSize);
        EXPECT_FALSE(backend->attention(
            {ill.data(), output.data(), cache.view(), cache.block_table().data(), 0, 1, 0, 1, 1}));
        EXPECT_TRUE(backend->attention(
            {good.data(), output.data(), cache.view(), cache.block_table().data(), 0, 1, 0, 1, 1}));
      }
    }
  }
}

// One position: the softmax is 1, so the answer is the value itself where its scale makes every
// step exact.
TEST_P(BackendAttention, OfOnePositionIsItsValue) {
  SplitMix random(0);
  StoredCache cache(random, 1, 1, 16, kv_bits());
  std::vector<float> value(16, 0.0f);
  value[3] = kv_bits() == 16 ? 2047.0f * 4095.0f : 127.0f * 255.0f;
  value[4] = kv_bits() == 16 ? -4095.0f : -255.0f;
  const std::vector<float> ones(16, 1.0f);
  ASSERT_TRUE(cache.append(device(), ones, value));
  std::vector<float> output(16);
  ASSERT_TRUE(device().attention(
      {ones.data(), output.data(), cache.view(), cache.block_table().data(), 0, 1, 0, 1, 1}));
  EXPECT_EQ(output, value);
}

INSTANTIATE_TEST_SUITE_P(All, BackendAttention,
                         testing::Combine(testing::ValuesIn(all_backends()),
                                          testing::Values(16, 8)),
                         [](const auto& param) {
                           return std::string(std::get<0>(param.param)->name.substr(4)) + "_" +
                                  std::to_string(std::get<1>(param.param));
                         });

}  // namespace
}  // namespace lockstep::kernels
