#include "scheduler/gateway/feed.h"

#include <gtest/gtest.h>

#include <atomic>
#include <thread>

namespace lockstep {
namespace {

constexpr std::uint32_t kAll = 1000;

std::vector<CompletionToken> tokens(std::uint32_t first, std::uint32_t count) {
  std::vector<CompletionToken> made(count);
  for (std::uint32_t i = 0; i < count; ++i) made[i].token = first + i;
  return made;
}

std::vector<std::uint32_t> ids(const JobFeed::Piece& piece) {
  std::vector<std::uint32_t> found;
  for (const CompletionToken& token : piece.tokens) found.push_back(token.token);
  return found;
}

Feed make_feed(std::uint32_t num_choices, std::vector<ChoiceRecord> choices = {}) {
  auto record = std::make_shared<JobRecord>();
  record->num_choices = num_choices;
  return {std::move(record), std::move(choices)};
}

TEST(FeedAppend, LeavesOutWhatIsHereAlready) {
  Feed feed = make_feed(2);
  feed.append({{}, 1}, 0, tokens(0, 3));
  feed.append({{}, 1}, 1, tokens(1, 4));
  feed.append({{}, 1}, 0, tokens(0, 2));
  EXPECT_EQ(ids(feed.read(1, 0, kAll)), (std::vector<std::uint32_t>{0, 1, 2, 3, 4}));
  EXPECT_TRUE(feed.read(0, 0, kAll).tokens.empty());
}

TEST(FeedAppendDeathTest, RefusesAGap) {
  Feed feed = make_feed(1);
  EXPECT_DEATH(feed.append({{}, 0}, 1, tokens(1, 1)), "tokens are missing");
}

TEST(FeedRead, GivesTheEndBehindTheLastTokenAlone) {
  Feed feed = make_feed(1);
  feed.append({{}, 0}, 0, tokens(0, 5));
  feed.end_choice(0, {});
  EXPECT_FALSE(feed.read(0, 0, 4).end);
  EXPECT_TRUE(feed.read(0, 4, 4).end);
  EXPECT_TRUE(feed.read(0, 0, 5).end);
  const auto behind = feed.read(0, 9, kAll);  // A resumed stream may ask for what was never sent.
  EXPECT_TRUE(behind.tokens.empty());
}

TEST(FeedRead, BeginsWithWhatWasStored) {
  std::vector<ChoiceRecord> stored(1);
  stored[0].tokens = tokens(0, 2);
  Feed feed = make_feed(2, stored);
  EXPECT_EQ(ids(feed.read(0, 1, kAll)), (std::vector<std::uint32_t>{1}));
  EXPECT_TRUE(feed.read(1, 0, kAll).tokens.empty());
}

TEST(FeedWait, WakesOnceAtTheNextChange) {
  Feed feed = make_feed(1);
  int woken = 0;
  feed.wait(feed.version(), [&] { ++woken; });
  EXPECT_EQ(woken, 0);
  feed.append({{}, 0}, 0, tokens(0, 1));
  EXPECT_EQ(woken, 1);
  feed.finish({});
  EXPECT_EQ(woken, 1);
  EXPECT_TRUE(feed.outcome());
}

TEST(FeedWait, WakesAtOnceWhenSomethingHasChangedSince) {
  Feed feed = make_feed(1);
  const std::uint64_t seen = feed.version();
  feed.append({{}, 0}, 0, tokens(0, 1));
  int woken = 0;
  feed.wait(seen, [&] { ++woken; });
  EXPECT_EQ(woken, 1);
}

TEST(FeedWait, LosesNoChangeBetweenThreads) {
  constexpr std::uint32_t kTokens = 2000;
  Feed feed = make_feed(1);
  std::thread writer([&] {
    for (std::uint32_t i = 0; i < kTokens; ++i) feed.append({{}, 0}, i, tokens(i, 1));
    feed.end_choice(0, {});
  });
  std::vector<std::uint32_t> read;
  while (true) {
    const std::uint64_t seen = feed.version();
    const auto piece = feed.read(0, static_cast<std::uint32_t>(read.size()), 7);
    for (const std::uint32_t id : ids(piece)) read.push_back(id);
    if (piece.end) break;
    if (!piece.tokens.empty()) continue;
    auto woken = std::make_shared<std::atomic<bool>>(false);
    feed.wait(seen, [woken] {
      woken->store(true);
      woken->notify_one();
    });
    woken->wait(false);
  }
  writer.join();
  ASSERT_EQ(read.size(), kTokens);
  for (std::uint32_t i = 0; i < kTokens; ++i) ASSERT_EQ(read[i], i);
}

}  // namespace
}  // namespace lockstep
