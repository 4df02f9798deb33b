#include "scheduler/block_pool.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <random>
#include <set>

namespace lockstep {
namespace {

using Tokens = std::vector<std::uint32_t>;
using Blocks = std::vector<BlockId>;

// `count` full blocks of tokens; block i holds 16 times values[i].
Tokens tokens_of(std::initializer_list<std::uint32_t> values) {
  Tokens out;
  for (const std::uint32_t value : values) out.insert(out.end(), kBlockTokens, value);
  return out;
}

std::span<const std::uint32_t> block_of(const Tokens& tokens, std::size_t index) {
  return std::span(tokens).subspan(index * kBlockTokens, kBlockTokens);
}

CacheSalt salt_of(std::uint8_t tenant) {
  CacheSalt salt;
  salt.bytes[31] = tenant;
  return salt;
}

const CacheSalt kSalt = salt_of(1);

std::optional<Blocks> take(BlockPool& pool, int count) {
  Blocks out;
  if (!pool.take(count, out)) return std::nullopt;
  return out;
}

Blocks share_prefix(BlockPool& pool, const Tokens& tokens, const CacheSalt& salt = kSalt) {
  Blocks out;
  pool.share_prefix(salt, tokens, out);
  return out;
}

int matching_blocks(const BlockPool& pool, const Tokens& tokens, const CacheSalt& salt = kSalt) {
  return pool.match_prefix(salt, tokens).blocks;
}

// Takes a table for the tokens and publishes all its blocks.
Blocks publish_all(BlockPool& pool, const Tokens& tokens, const CacheSalt& salt = kSalt) {
  Blocks table = take(pool, static_cast<int>(tokens.size() / kBlockTokens)).value();
  for (std::size_t i = 0; i < table.size(); ++i) {
    pool.publish(table[i], i == 0 ? std::nullopt : std::optional(table[i - 1]), salt,
                 block_of(tokens, i));
  }
  return table;
}

TEST(BlockPoolTake, GivesDifferentBlocks) {
  BlockPool pool(8);
  const Blocks taken = take(pool, 8).value();
  EXPECT_EQ(std::set<BlockId>(taken.begin(), taken.end()).size(), 8U);
  for (const BlockId id : taken) {
    EXPECT_GE(static_cast<int>(id), 0);
    EXPECT_LT(static_cast<int>(id), 8);
  }
  EXPECT_EQ(pool.num_referenced(), 8);
}

TEST(BlockPoolTake, ReturnsNothingAndChangesNothingWhenTooFewAreLeft) {
  BlockPool pool(3);
  const Blocks taken = take(pool, 2).value();
  EXPECT_FALSE(take(pool, 2).has_value());
  EXPECT_EQ(pool.num_free(), 1);
  EXPECT_EQ(pool.num_referenced(), 2);
  EXPECT_TRUE(take(pool, 1).has_value());
}

TEST(BlockPoolTake, GivesNothingOfAnEmptyPool) {
  BlockPool pool(0);
  EXPECT_FALSE(take(pool, 1).has_value());
  EXPECT_TRUE(take(pool, 0).value().empty());
}

TEST(BlockPoolTake, EvictsTheLeastRecentlyUsedFirstAndTailsBeforeHeads) {
  BlockPool pool(4);
  const Tokens old = tokens_of({1, 2});
  const Tokens recent = tokens_of({3, 4});
  const Blocks old_table = publish_all(pool, old);
  const Blocks recent_table = publish_all(pool, recent);
  pool.release(old_table);
  pool.release(recent_table);
  ASSERT_EQ(pool.num_cached(), 4);
  // Using the old one makes it the more recent.
  pool.release(share_prefix(pool, old));

  EXPECT_EQ(take(pool, 1).value(), Blocks{recent_table[1]});
  EXPECT_EQ(matching_blocks(pool, recent), 1);
  EXPECT_EQ(take(pool, 1).value(), Blocks{recent_table[0]});
  EXPECT_EQ(matching_blocks(pool, recent), 0);
  EXPECT_EQ(matching_blocks(pool, old), 2);
  EXPECT_EQ(take(pool, 1).value(), Blocks{old_table[1]});
  EXPECT_EQ(take(pool, 1).value(), Blocks{old_table[0]});
}

TEST(BlockPoolTake, PrefersFreeBlocksToCachedOnes) {
  BlockPool pool(2);
  const Tokens tokens = tokens_of({1});
  pool.release(publish_all(pool, tokens));
  EXPECT_EQ(pool.num_free(), 1);
  EXPECT_EQ(pool.num_cached(), 1);
  const Blocks taken = take(pool, 1).value();
  EXPECT_EQ(matching_blocks(pool, tokens), 1);
  pool.release(taken);
}

TEST(BlockPoolSharePrefix, GivesTheLongestEqualPrefix) {
  BlockPool pool(8);
  const Blocks table = publish_all(pool, tokens_of({1, 2, 3}));
  EXPECT_EQ(share_prefix(pool, tokens_of({1, 2, 3})), table);
  EXPECT_EQ(share_prefix(pool, tokens_of({1, 2, 9})), (Blocks{table[0], table[1]}));
  EXPECT_EQ(share_prefix(pool, tokens_of({9, 2, 3})), Blocks{});
  Tokens partial = tokens_of({1, 2});
  partial.pop_back();
  EXPECT_EQ(share_prefix(pool, partial), Blocks{table[0]});
}

TEST(BlockPoolSharePrefix, DoesNotTakeEqualTokensBehindAnotherParent) {
  BlockPool pool(8);
  publish_all(pool, tokens_of({1, 7}));
  publish_all(pool, tokens_of({2}));
  EXPECT_EQ(matching_blocks(pool, tokens_of({2, 7})), 1);
  EXPECT_EQ(matching_blocks(pool, tokens_of({7})), 0);
}

TEST(BlockPoolSharePrefix, DoesNotTakeWhatAnotherSaltPublished) {
  BlockPool pool(8);
  const Tokens tokens = tokens_of({1, 2});
  publish_all(pool, tokens, salt_of(1));
  EXPECT_EQ(matching_blocks(pool, tokens, salt_of(1)), 2);
  EXPECT_EQ(matching_blocks(pool, tokens, salt_of(2)), 0);
  publish_all(pool, tokens, salt_of(2));  // No duplicate: its own.
  EXPECT_EQ(matching_blocks(pool, tokens, salt_of(2)), 2);
}

TEST(BlockPoolSharePrefix, KeepsTheBlocksFromBeingTaken) {
  BlockPool pool(2);
  const Tokens tokens = tokens_of({1, 2});
  pool.release(publish_all(pool, tokens));
  const Blocks shared = share_prefix(pool, tokens);
  EXPECT_EQ(pool.num_cached(), 0);
  EXPECT_FALSE(take(pool, 1).has_value());
  pool.release(shared);
  EXPECT_EQ(pool.num_cached(), 2);
}

TEST(BlockPoolMatchPrefix, CountsThoseThatNobodyHolds) {
  BlockPool pool(4);
  const Blocks table = publish_all(pool, tokens_of({1, 2}));
  EXPECT_EQ(pool.match_prefix(kSalt, tokens_of({1, 2})).unreferenced, 0);
  pool.release(table);
  const Blocks first = share_prefix(pool, tokens_of({1}));
  const BlockPool::PrefixMatch match = pool.match_prefix(kSalt, tokens_of({1, 2}));
  EXPECT_EQ(match.blocks, 2);
  EXPECT_EQ(match.unreferenced, 1);
}

TEST(BlockPoolPublish, LeavesASecondCopyPrivate) {
  BlockPool pool(4);
  const Tokens tokens = tokens_of({1, 2});
  const Blocks first = publish_all(pool, tokens);
  const Blocks second = publish_all(pool, tokens);
  EXPECT_EQ(share_prefix(pool, tokens), first);
  pool.release(second);
  EXPECT_EQ(pool.num_free(), 2);  // Private blocks are not kept.
}

TEST(BlockPoolPublish, DoesNotPublishBehindAPrivateParent) {
  BlockPool pool(8);
  publish_all(pool, tokens_of({1}));
  publish_all(pool, tokens_of({1, 2}));  // Its first block is a private copy.
  EXPECT_EQ(matching_blocks(pool, tokens_of({1, 2})), 1);
  EXPECT_EQ(matching_blocks(pool, tokens_of({2})), 0);
}

TEST(BlockPoolRelease, FreesWhatWasNotPublished) {
  BlockPool pool(2);
  const Blocks taken = take(pool, 2).value();
  pool.release(taken);
  EXPECT_EQ(pool.num_free(), 2);
  EXPECT_EQ(pool.num_cached(), 0);
}

TEST(BlockPoolRelease, KeepsWhatSomebodyElseHolds) {
  BlockPool pool(2);
  const Tokens tokens = tokens_of({1});
  const Blocks table = publish_all(pool, tokens);
  const Blocks shared = share_prefix(pool, tokens);
  pool.release(table);
  EXPECT_EQ(pool.num_referenced(), 1);
  pool.release(shared);
  EXPECT_EQ(pool.num_cached(), 1);
}

TEST(BlockPoolReleaseDeathTest, RefusesADoubleRelease) {
  GTEST_FLAG_SET(death_test_style, "fast");
  BlockPool pool(2);
  const Blocks taken = take(pool, 1).value();
  pool.release(taken);
  EXPECT_DEATH(pool.release(taken), "nobody holds");
  EXPECT_DEATH(pool.publish(taken[0], std::nullopt, kSalt, tokens_of({1})), "nobody holds");
  EXPECT_DEATH(pool.release(Blocks{BlockId{2}}), "no such KV block");
}

// Random sequences, checked against a plain account of who holds what.
class PoolModel {
 public:
  explicit PoolModel(std::uint64_t seed) : random_(seed), pool_(kBlocks) {}

  void step() {
    switch (random_() % 3) {
      case 0:
        start();
        break;
      case 1:
        if (!held_.empty()) end();
        break;
      default:
        if (!held_.empty()) publish();
    }
    check();
  }

 private:
  struct Held {
    Tokens tokens;
    CacheSalt salt;
    Blocks table;
    std::size_t published = 0;
  };
  static constexpr int kBlocks = 12;

  // Few different tokens, so that prefixes meet.
  void start() {
    Held held;
    held.salt = salt_of(static_cast<std::uint8_t>(random_() % 2));
    for (std::uint64_t n = 1 + random_() % 5; n > 0; --n) {
      const auto value = static_cast<std::uint32_t>(random_() % 2);
      held.tokens.insert(held.tokens.end(), kBlockTokens, value);
    }
    const int wanted = static_cast<int>(held.tokens.size()) / kBlockTokens;
    const BlockPool::PrefixMatch match = pool_.match_prefix(held.salt, held.tokens);
    const int left = pool_.num_available() - match.unreferenced;
    held.table = share_prefix(pool_, held.tokens, held.salt);
    ASSERT_EQ(static_cast<int>(held.table.size()), match.blocks);
    // What a shared block holds are the tokens that were asked for, from the start.
    for (std::size_t i = 0; i < held.table.size(); ++i) {
      const Tokens prefix(held.tokens.begin(),
                          held.tokens.begin() + static_cast<std::ptrdiff_t>(i + 1) * kBlockTokens);
      ASSERT_EQ(contents_[held.table[i]], std::pair(held.salt, prefix));
    }
    held.published = held.table.size();
    const auto rest = take(pool_, wanted - match.blocks);
    ASSERT_EQ(rest.has_value(), wanted - match.blocks <= left);
    if (!rest) {
      pool_.release(held.table);
      return;
    }
    for (const BlockId id : *rest) {
      ASSERT_EQ(holders(id), 0) << "a block that somebody holds was taken";
      contents_.erase(id);
      held.table.push_back(id);
    }
    held_.push_back(std::move(held));
  }

  void end() {
    const std::size_t i = random_() % held_.size();
    pool_.release(held_[i].table);
    held_.erase(held_.begin() + static_cast<std::ptrdiff_t>(i));
  }

  void publish() {
    Held& held = held_[random_() % held_.size()];
    if (held.published == held.table.size()) return;
    const std::size_t i = held.published++;
    pool_.publish(held.table[i], i == 0 ? std::nullopt : std::optional(held.table[i - 1]),
                  held.salt, block_of(held.tokens, i));
    const auto end = static_cast<std::ptrdiff_t>(i + 1) * kBlockTokens;
    contents_[held.table[i]] = {held.salt, Tokens(held.tokens.begin(), held.tokens.begin() + end)};
  }

  int holders(BlockId id) const {
    int count = 0;
    for (const Held& held : held_) {
      count += static_cast<int>(std::ranges::count(held.table, id));
    }
    return count;
  }

  void check() {
    std::set<BlockId> referenced;
    for (const Held& held : held_) referenced.insert(held.table.begin(), held.table.end());
    ASSERT_EQ(pool_.num_referenced(), static_cast<int>(referenced.size()));
    ASSERT_EQ(pool_.num_free() + pool_.num_cached() + pool_.num_referenced(), kBlocks);
    ASSERT_GE(pool_.num_free(), 0);
    ASSERT_GE(pool_.num_cached(), 0);
  }

  std::mt19937_64 random_;
  BlockPool pool_;
  std::vector<Held> held_;
  // The salt and the prefix that a block was published for.
  std::map<BlockId, std::pair<CacheSalt, Tokens>> contents_;
};

TEST(BlockPool, KeepsItsAccountUnderRandomOperations) {
  for (std::uint64_t seed = 1; seed <= 20; ++seed) {
    SCOPED_TRACE("seed " + std::to_string(seed));
    PoolModel model(seed);
    for (int i = 0; i < 400; ++i) {
      model.step();
      if (testing::Test::HasFatalFailure()) return;
    }
  }
}

}  // namespace
}  // namespace lockstep
