#include "sharding/part.h"

#include <gtest/gtest.h>

namespace lockstep {
namespace {

ModelConfig shape(int heads, int kv_heads, int head_size, int ffn, int vocab) {
  ModelConfig config;
  config.num_layers = 1;
  config.hidden_dim = heads * head_size;
  config.num_heads = heads;
  config.num_kv_heads = kv_heads;
  config.head_size = head_size;
  config.ffn_dim = ffn;
  config.vocab_size = vocab;
  return config;
}

std::vector<Part> parts_of(const ModelConfig& config, int requested = 0) {
  auto parts = make_parts(config, requested);
  EXPECT_TRUE(parts.ok()) << (parts.ok() ? "" : parts.error().message);
  return parts.ok() ? std::move(parts).value() : std::vector<Part>{};
}

const ModelConfig kSmolLm2 = shape(9, 3, 64, 1536, 49152);

TEST(PartMakeParts, CutsSmolLm2IntoNine) {
  const auto parts = parts_of(kSmolLm2);
  ASSERT_EQ(parts.size(), 9u);
  const int groups[] = {5, 5, 6, 5, 5, 6, 5, 5, 6};
  for (std::size_t i = 0; i < 9; ++i) {
    EXPECT_EQ(parts[i].ffn.size(), 32 * groups[i]) << i;
    EXPECT_EQ(parts[i].heads.size(), 1) << i;
  }
}

TEST(PartMakeParts, PutsASharedKeyValueHeadIntoTheLowestPart) {
  const auto parts = parts_of(kSmolLm2);
  for (std::size_t i = 0; i < 9; ++i) {
    const int kv_head = static_cast<int>(i) / 3;
    EXPECT_EQ(parts[i].kv_heads, (Range{kv_head, kv_head + 1})) << i;
    EXPECT_EQ(parts[i].own_kv.size(), 0) << i;
    EXPECT_EQ(parts[i].shared_kv, i % 3 == 0 ? kv_head : -1) << i;
    EXPECT_EQ(kv_home(parts, kv_head), 3 * kv_head) << i;
  }
}

TEST(PartMakeParts, KeepsAHeadThatOnePartUses) {
  const auto parts = parts_of(kSmolLm2, 3);
  for (int i = 0; i < 3; ++i) {
    EXPECT_EQ(parts[static_cast<std::size_t>(i)].own_kv, (Range{i, i + 1}));
    EXPECT_EQ(parts[static_cast<std::size_t>(i)].shared_kv, -1);
  }
}

TEST(PartMakeParts, SharesOnlyTheBoundaryHeads) {
  // 2 parts of 4 and 5 query heads; groups of 3: part 0 uses kv 0, 1; part 1 uses 1, 2.
  const auto parts = parts_of(kSmolLm2, 2);
  EXPECT_EQ(parts[0].own_kv, (Range{0, 1}));
  EXPECT_EQ(parts[0].shared_kv, 1);
  EXPECT_EQ(parts[1].kv_heads, (Range{1, 3}));
  EXPECT_EQ(parts[1].own_kv, (Range{2, 3}));
  EXPECT_EQ(parts[1].shared_kv, -1);
}

TEST(PartMakeParts, CutsLlama3IntoEight) {
  EXPECT_EQ(parts_of(shape(32, 8, 128, 14336, 128256)).size(), 8u);
  EXPECT_EQ(parts_of(shape(64, 8, 128, 28672, 128256)).size(), 8u);
}

TEST(PartMakeParts, CutsStories260KIntoTwo) {
  const auto parts = parts_of(shape(8, 4, 8, 172, 512));
  ASSERT_EQ(parts.size(), 2u);
  EXPECT_EQ(parts[0].ffn, (Range{0, 96}));
  EXPECT_EQ(parts[1].ffn, (Range{96, 192}));  // 172 padded to 192.
}

TEST(PartMakeParts, EndsTheVocabularyWhereItEnds) {
  const auto parts = parts_of(shape(4, 4, 32, 128, 100), 2);
  EXPECT_EQ(parts[0].vocab, (Range{0, 48}));
  EXPECT_EQ(parts[1].vocab, (Range{48, 100}));
}

TEST(PartMakeParts, CoversEveryHeadOnceForEveryLegalCount) {
  for (const ModelConfig& config : {kSmolLm2, shape(32, 8, 128, 14336, 128256),
                                    shape(8, 4, 8, 172, 512), shape(15, 5, 64, 2560, 49152)}) {
    for (int count = 1; count <= 16; ++count) {
      const auto made = make_parts(config, count);
      if (!made.ok()) continue;
      int head = 0;
      std::vector<int> homes(static_cast<std::size_t>(config.num_kv_heads));
      for (const Part& part : made.value()) {
        EXPECT_EQ(part.heads.begin, head);
        EXPECT_GT(part.heads.size(), 0);
        EXPECT_EQ(part.heads.begin * config.head_size % 32, 0);
        head = part.heads.end;
        for (int kv = part.own_kv.begin; kv < part.own_kv.end; ++kv)
          ++homes[static_cast<std::size_t>(kv)];
        if (part.shared_kv >= 0) ++homes[static_cast<std::size_t>(part.shared_kv)];
      }
      EXPECT_EQ(head, config.num_heads);
      EXPECT_EQ(homes, std::vector<int>(homes.size(), 1)) << count;
      EXPECT_EQ(made.value().back().ffn.end, (config.ffn_dim + 31) / 32 * 32);
      EXPECT_EQ(made.value().back().vocab.end, config.vocab_size);
    }
  }
}

TEST(PartMakeParts, RefusesACountThatBreaksARule) {
  const auto parts = make_parts(kSmolLm2, 10);
  ASSERT_FALSE(parts.ok());
  EXPECT_EQ(parts.error().code, ErrorCode::kInvalidArgument);
  EXPECT_NE(parts.error().message.find("largest legal count is 9"), std::string::npos);
  // Heads of 8: two of four parts would begin inside a group of 32.
  EXPECT_FALSE(make_parts(shape(8, 4, 8, 172, 512), 4).ok());
  EXPECT_FALSE(make_parts(kSmolLm2, -1).ok());
}

TEST(PartAssignParts, SharesEquallyWithTheRestToLowerRanks) {
  const auto runs = assign_parts(9, 4);
  ASSERT_TRUE(runs.ok());
  EXPECT_EQ(runs.value(), (std::vector<Range>{{0, 3}, {3, 5}, {5, 7}, {7, 9}}));
}

TEST(PartAssignParts, FollowsWeights) {
  const std::vector<double> weights = {2, 1, 1};
  const auto runs = assign_parts(8, 3, weights);
  ASSERT_TRUE(runs.ok());
  EXPECT_EQ(runs.value(), (std::vector<Range>{{0, 4}, {4, 6}, {6, 8}}));
}

TEST(PartAssignParts, GivesEveryRankAPart) {
  const std::vector<double> weights = {1e300, 1, 1e-300};
  const auto runs = assign_parts(9, 3, weights);
  ASSERT_TRUE(runs.ok());
  EXPECT_EQ(runs.value(), (std::vector<Range>{{0, 7}, {7, 8}, {8, 9}}));
}

TEST(PartAssignParts, RefusesWhatCannotBeAssigned) {
  EXPECT_FALSE(assign_parts(9, 0).ok());
  EXPECT_FALSE(assign_parts(9, 10).ok());
  for (const std::vector<double>& weights :
       {std::vector<double>{1}, {1, 0}, {1, -1}, {1, std::numeric_limits<double>::quiet_NaN()}}) {
    EXPECT_FALSE(assign_parts(9, 2, weights).ok());
  }
}

TEST(PartRangesOf, SpanARun) {
  const auto parts = parts_of(kSmolLm2);
  EXPECT_EQ(heads_of(parts, {2, 5}), (Range{2, 5}));
  EXPECT_EQ(kv_heads_of(parts, {2, 5}), (Range{0, 2}));
  EXPECT_EQ(vocab_of(parts, {0, 9}), (Range{0, 49152}));
}

}  // namespace
}  // namespace lockstep
