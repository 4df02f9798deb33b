// A replica's side of generations against a gateway that says what it likes, at any time.
#include "worker/service/link_protocol.h"

#include <gtest/gtest.h>

namespace lockstep {
namespace {

const LinkProtocolConfig kConfig{
    .hello = {}, .patience_ms = 1000, .hello_ms = 100, .max_queued = 2};
constexpr std::uint32_t kLeaseMs = 300;
constexpr std::uint32_t kBeatMs = 50;

BeatMessage beat() { return {.sequence = 0, .steps = 11}; }

class LinkProtocolTest : public testing::Test {
 protected:
  void welcome(std::int64_t now_ms, std::uint64_t epoch) {
    say(now_ms, epoch, 0, WelcomeMessage{epoch, kLeaseMs, kBeatMs});
  }
  void say(std::int64_t now_ms, std::uint64_t epoch, std::uint64_t sequence,
           decltype(ToReplica::body) body) {
    link_.receive(now_ms, {epoch, sequence, std::move(body)});
  }
  // Everything that is to be sent, and is.
  std::vector<ToGateway> hear(std::int64_t now_ms) {
    std::vector<ToGateway> messages;
    while (auto message = link_.next_message(now_ms, beat)) {
      messages.push_back(std::move(*message));
      link_.sent();
    }
    return messages;
  }
  // A generation that has been greeted; its first beat is number 1.
  void begin(std::int64_t now_ms, std::uint64_t epoch) {
    welcome(now_ms, epoch);
    EXPECT_EQ(link_.take_orders().size(), 1U);
    EXPECT_EQ(hear(now_ms).size(), 1U);
  }

  LinkProtocol link_{kConfig, 0};
};

TEST_F(LinkProtocolTest, SaysHelloUntilItIsWelcome) {
  ASSERT_EQ(hear(0).size(), 1U);
  EXPECT_TRUE(hear(99).empty());
  EXPECT_EQ(link_.next_word_ms(), 100);
  const auto again = hear(100);
  ASSERT_EQ(again.size(), 1U);
  EXPECT_TRUE(std::holds_alternative<HelloMessage>(again[0].body));
  EXPECT_EQ(again[0].epoch, 0U);
  EXPECT_EQ(again[0].sequence, 0U);
}

TEST_F(LinkProtocolTest, BeatsAtOnceAndThenInTime) {
  welcome(10, 5);
  EXPECT_EQ(hear(10).size(), 1U);
  EXPECT_TRUE(hear(59).empty());
  say(59, 5, 1, LeaseMessage{77});
  const auto beats = hear(60);
  ASSERT_EQ(beats.size(), 1U);
  EXPECT_EQ(beats[0].epoch, 5U);
  EXPECT_EQ(beats[0].sequence, 2U);
  EXPECT_EQ(std::get<BeatMessage>(beats[0].body).steps, 11U);
  EXPECT_EQ(std::get<BeatMessage>(beats[0].body).sequence, 77U);
}

TEST_F(LinkProtocolTest, HandsOrdersOnOnceAndInOrder) {
  begin(0, 5);
  say(1, 5, 1, CancelMessage{.key = {}, .attempt = 1});
  say(1, 5, 1, CancelMessage{.key = {}, .attempt = 1});  // Again.
  say(1, 4, 2, CancelMessage{.key = {}, .attempt = 9});  // Of another generation.
  say(1, 5, 2, CancelMessage{.key = {}, .attempt = 2});
  const auto orders = link_.take_orders();
  ASSERT_EQ(orders.size(), 2U);
  EXPECT_EQ(std::get<CancelMessage>(orders[0].body).attempt, 1U);
  EXPECT_EQ(std::get<CancelMessage>(orders[1].body).attempt, 2U);
  EXPECT_FALSE(link_.has_orders());
  EXPECT_EQ(link_.epoch(), 5U);
}

TEST_F(LinkProtocolTest, EndsTheGenerationWhenAnOrderIsMissing) {
  begin(0, 5);
  say(1, 5, 2, DrainMessage{});
  EXPECT_EQ(link_.epoch(), 0U);
  EXPECT_FALSE(link_.has_orders());
  const auto messages = hear(1);
  ASSERT_EQ(messages.size(), 1U);
  EXPECT_TRUE(std::holds_alternative<HelloMessage>(messages[0].body));
}

TEST_F(LinkProtocolTest, EndsTheGenerationWhenItIsAskedOrCannotRead) {
  begin(0, 5);
  say(1, 0, 0, IdentifyMessage{});
  EXPECT_EQ(link_.epoch(), 0U);
  begin(2, 6);
  link_.receive_garbage(3);
  EXPECT_EQ(link_.epoch(), 0U);
}

TEST_F(LinkProtocolTest, EndsTheGenerationWhenNobodyTakesTheOrders) {
  begin(0, 5);
  for (std::uint64_t n = 1; n <= kConfig.max_queued; ++n) say(1, 5, n, DrainMessage{});
  EXPECT_EQ(link_.epoch(), 5U);
  say(1, 5, kConfig.max_queued + 1, DrainMessage{});
  EXPECT_EQ(link_.epoch(), 0U);
}

TEST_F(LinkProtocolTest, IgnoresAWelcomeThatWasOvertaken) {
  begin(0, 6);
  welcome(1, 5);
  welcome(1, 6);
  EXPECT_EQ(link_.epoch(), 6U);
  EXPECT_FALSE(link_.has_orders());
}

TEST_F(LinkProtocolTest, DropsWhatBelongsToTheGenerationBefore) {
  begin(0, 5);
  say(1, 5, 1, DrainMessage{});
  EXPECT_TRUE(link_.say(5, ProgressMessage{}));
  welcome(1, 6);
  EXPECT_TRUE(link_.say(5, ProgressMessage{}));
  EXPECT_TRUE(link_.say(6, DrainedMessage{}));
  const auto orders = link_.take_orders();
  ASSERT_EQ(orders.size(), 1U);
  EXPECT_EQ(orders[0].epoch, 6U);
  const auto messages = hear(1);
  ASSERT_EQ(messages.size(), 2U);
  EXPECT_TRUE(std::holds_alternative<BeatMessage>(messages[0].body));
  EXPECT_TRUE(std::holds_alternative<DrainedMessage>(messages[1].body));
  EXPECT_EQ(messages[1].epoch, 6U);
  EXPECT_EQ(messages[1].sequence, 2U);
}

TEST_F(LinkProtocolTest, OffersAgainWhatCouldNotBeSent) {
  begin(0, 5);
  EXPECT_TRUE(link_.say(5, DrainedMessage{}));
  const auto first = link_.next_message(1, beat);
  const auto second = link_.next_message(2, beat);
  ASSERT_TRUE(first && second);
  EXPECT_EQ(first->sequence, second->sequence);
  link_.sent();
  EXPECT_FALSE(link_.next_message(3, beat));
}

TEST_F(LinkProtocolTest, CountsABeatOnlyWhenItIsSent) {
  begin(0, 5);
  ASSERT_TRUE(link_.next_message(kBeatMs, beat));  // Lost in the socket.
  const auto next = hear(2 * kBeatMs);
  ASSERT_EQ(next.size(), 1U);
  EXPECT_EQ(next[0].sequence, 2U);
}

TEST_F(LinkProtocolTest, EndsTheGenerationWhenItsQueueIsFull) {
  begin(0, 5);
  EXPECT_TRUE(link_.say(5, ProgressMessage{}));
  EXPECT_TRUE(link_.say(5, ProgressMessage{}));
  EXPECT_FALSE(link_.say(5, ProgressMessage{}));
  EXPECT_EQ(link_.epoch(), 0U);
  EXPECT_TRUE(link_.say(5, ProgressMessage{}));  // It is over: dropped.
}

TEST_F(LinkProtocolTest, IsLostALeaseAfterTheLastWord) {
  EXPECT_EQ(link_.lease_ends_ms(), kConfig.patience_ms);
  begin(10, 5);
  say(100, 5, 1, LeaseMessage{1});
  EXPECT_EQ(link_.lease_ends_ms(), 100 + kLeaseMs);
  EXPECT_FALSE(link_.lost(99 + kLeaseMs));
  EXPECT_TRUE(link_.lost(100 + kLeaseMs));
  EXPECT_TRUE(hear(100 + kLeaseMs).empty());
}

}  // namespace
}  // namespace lockstep
