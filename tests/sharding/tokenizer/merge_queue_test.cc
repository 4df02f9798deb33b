#include "sharding/tokenizer/merge_queue.h"

#include <gtest/gtest.h>

#include <map>
#include <random>
#include <utility>

#include "sharding/tokenizer/merge_table.h"

namespace lockstep {
namespace {

using Pairs = std::map<std::pair<TokenId, TokenId>, Merge>;

std::vector<TokenId> merged(const std::vector<TokenId>& ids, const MergeTable& table) {
  MergeQueue queue;
  for (std::size_t i = 0; i < ids.size(); ++i) queue.append(ids[i], i, 1);
  queue.merge([&](const Symbol& a, const Symbol& b) { return table.find(a.id, b.id); });
  std::vector<TokenId> out;
  for (const Symbol& symbol : queue.symbols()) {
    if (symbol.bytes != 0) out.push_back(symbol.id);
  }
  return out;
}

// The definition: again and again the leftmost pair of the lowest order.
std::vector<TokenId> merged_by_definition(std::vector<TokenId> ids, const Pairs& pairs) {
  for (;;) {
    auto best = pairs.end();
    std::size_t position = 0;
    for (std::size_t i = 0; i + 1 < ids.size(); ++i) {
      const auto found = pairs.find({ids[i], ids[i + 1]});
      if (found == pairs.end()) continue;
      if (best == pairs.end() || found->second.order < best->second.order) {
        best = found;
        position = i;
      }
    }
    if (best == pairs.end()) return ids;
    ids[position] = best->second.id;
    ids.erase(ids.begin() + static_cast<std::ptrdiff_t>(position) + 1);
  }
}

TEST(MergeQueueMerge, TakesTheLeftmostOfEqualPairs) {
  MergeTable table(1);
  table.insert(0, 0, {0, 1});
  EXPECT_EQ(merged({0, 0, 0}, table), (std::vector<TokenId>{1, 0}));
}

TEST(MergeQueueMerge, LeavesNothingOfNothing) { EXPECT_TRUE(merged({}, MergeTable(0)).empty()); }

// Every merge makes a token of its own, as in a vocabulary without equal texts.
TEST(MergeQueueMerge, EqualsTheDefinitionOnRandomMergeLists) {
  for (std::uint64_t seed = 0; seed < 300; ++seed) {
    std::mt19937_64 random(seed);
    Pairs pairs;
    MergeTable table(40);
    for (TokenId id = 3; id < 43; ++id) {
      const std::pair<TokenId, TokenId> pair{random() % id, random() % id};
      const Merge merge{static_cast<std::uint32_t>(id - 3), id};
      pairs.try_emplace(pair, merge);
      table.insert(pair.first, pair.second, merge);
    }
    std::vector<TokenId> ids(random() % 60);
    for (TokenId& id : ids) id = static_cast<TokenId>(random() % 3);
    ASSERT_EQ(merged(ids, table), merged_by_definition(ids, pairs)) << "seed " << seed;
  }
}

TEST(MergeTableInsert, KeepsTheFirstOfEqualPairs) {
  MergeTable table(2);
  table.insert(7, 8, {1, 10});
  table.insert(7, 8, {2, 11});
  EXPECT_EQ(table.find(7, 8)->id, 10U);
  EXPECT_FALSE(table.find(8, 7).has_value());
}

}  // namespace
}  // namespace lockstep
