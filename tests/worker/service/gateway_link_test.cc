// The two ends of a connection against each other, over a real socket.
#include "worker/service/gateway_link.h"

#include <gtest/gtest.h>

#include <chrono>

#include "scheduler/gateway/transport/replica_transport.h"

namespace lockstep {
namespace {

using namespace std::chrono_literals;

constexpr ReplicaId kReplica{3};

HelloMessage hello() {
  HelloMessage message;
  message.model_id.bytes.fill(1);
  message.context_tokens = 100;
  message.max_sequences = 4;
  message.ranks = {{"host", 1, 1}};
  return message;
}

class GatewayLinkTest : public ::testing::Test {
 protected:
  void SetUp() override { open_gateway("tcp://127.0.0.1:0"); }

  void open_gateway(const std::string& endpoint) {
    ReplicaTransportConfig config;
    config.keys = gateway_keys_;
    config.endpoint = endpoint;
    const auto until = std::chrono::steady_clock::now() + 5s;
    for (;;) {
      auto started = ReplicaTransport::start(config, [this](ReplicaId, ToGateway message) {
        const std::scoped_lock lock(mutex_);
        heard_.push_back(std::move(message));
        arrived_.notify_all();
      });
      if (started.ok()) {
        gateway_ = std::move(started).value();
        break;
      }
      ASSERT_LT(std::chrono::steady_clock::now(), until) << started.error().message;
      std::this_thread::sleep_for(5ms);
    }
    gateway_->allow(kReplica, keys_.own.public_key);
  }

  void open_link(int patience_ms = 5000) {
    keys_.gateway = gateway_keys_.public_key;
    GatewayLinkConfig config;
    config.endpoint = gateway_->endpoint();
    config.keys = keys_;
    config.hello = hello();
    config.patience_ms = patience_ms;
    config.hello_ms = 50;
    config.farewell_ms = 100;
    config.max_queued = 4;
    GatewayLink::Hooks hooks;
    hooks.beat = [] { return BeatMessage{.steps = 11}; };
    hooks.abandon = [this] { ++abandoned_; };
    auto started = GatewayLink::start(config, hooks, system_clock());
    ASSERT_TRUE(started.ok()) << started.error().message;
    link_ = std::move(started).value();
  }

  // The next message of this kind; others are dropped.
  template <typename Body>
  std::optional<ToGateway> hear(std::chrono::milliseconds patience = 5s) {
    const auto until = std::chrono::steady_clock::now() + patience;
    std::unique_lock lock(mutex_);
    for (;;) {
      if (!arrived_.wait_until(lock, until, [this] { return !heard_.empty(); })) {
        return std::nullopt;
      }
      ToGateway message = std::move(heard_.front());
      heard_.pop_front();
      if (std::holds_alternative<Body>(message.body)) return message;
    }
  }

  void say(std::uint64_t epoch, std::uint64_t sequence, decltype(ToReplica::body) body) {
    const Status sent = gateway_->send(kReplica, {epoch, sequence, std::move(body)});
    EXPECT_TRUE(sent.ok()) << sent.error().message;
  }
  void welcome(std::uint64_t epoch, std::uint32_t lease_ms = 5000) {
    say(epoch, 0, WelcomeMessage{epoch, lease_ms, 20});
  }
  void greet(std::uint64_t epoch, std::uint32_t lease_ms = 5000) {
    ASSERT_TRUE(hear<HelloMessage>());
    welcome(epoch, lease_ms);
    const auto orders = link_->take(5000);
    ASSERT_EQ(orders.size(), 1U);
    ASSERT_TRUE(std::holds_alternative<WelcomeMessage>(orders[0].body));
    EXPECT_EQ(orders[0].epoch, epoch);
  }
  static CancelMessage cancel(std::uint32_t choice) {
    CancelMessage message;
    message.key.request.bytes.fill(1);
    message.key.choice = choice;
    return message;
  }

  const CurveKeyPair gateway_keys_ = make_curve_key_pair(system_random());
  ReplicaKeys keys_{make_curve_key_pair(system_random()), {}};
  std::mutex mutex_;
  std::condition_variable arrived_;
  std::deque<ToGateway> heard_;
  std::atomic<int> abandoned_ = 0;
  std::unique_ptr<ReplicaTransport> gateway_;
  std::unique_ptr<GatewayLink> link_;
};

TEST_F(GatewayLinkTest, SaysHelloUntilItIsWelcomeThenBeats) {
  open_link();
  const auto first = hear<HelloMessage>();
  ASSERT_TRUE(first);
  EXPECT_EQ(first->epoch, 0U);
  EXPECT_EQ(first->sequence, 0U);
  greet(5);
  say(5, 1, LeaseMessage{77});
  for (std::uint64_t number = 1;; ++number) {
    const auto beat = hear<BeatMessage>();
    ASSERT_TRUE(beat);
    EXPECT_EQ(beat->epoch, 5U);
    EXPECT_EQ(beat->sequence, number);
    EXPECT_EQ(std::get<BeatMessage>(beat->body).steps, 11U);
    if (std::get<BeatMessage>(beat->body).sequence == 77) break;
  }
  EXPECT_FALSE(hear<HelloMessage>(120ms));
}

TEST_F(GatewayLinkTest, HandsOrdersOnOnceAndInOrder) {
  open_link();
  greet(5);
  say(5, 1, cancel(1));
  say(5, 1, cancel(1));  // Again.
  say(4, 2, cancel(9));  // Of another generation.
  say(5, 2, LeaseMessage{1});
  say(5, 3, cancel(2));
  std::vector<std::uint32_t> choices;
  while (choices.size() < 2) {
    for (const ToReplica& order : link_->take(5000)) {
      choices.push_back(std::get<CancelMessage>(order.body).key.choice);
    }
  }
  EXPECT_EQ(choices, (std::vector<std::uint32_t>{1, 2}));
  EXPECT_TRUE(link_->take(30).empty());
}

TEST_F(GatewayLinkTest, BeginsAnewWhenAnOrderIsMissing) {
  open_link();
  greet(5);
  say(5, 1, cancel(1));
  EXPECT_EQ(link_->take(5000).size(), 1U);
  say(5, 3, cancel(3));
  greet(6);
  EXPECT_TRUE(link_->send(5, ProgressMessage{}));  // Of the old one: dropped.
  EXPECT_TRUE(link_->send(6, DrainedMessage{}));
  const auto drained = hear<DrainedMessage>();
  ASSERT_TRUE(drained);
  EXPECT_EQ(drained->epoch, 6U);
}

TEST_F(GatewayLinkTest, NumbersWhatItSays) {
  open_link();
  greet(5);
  for (int i = 0; i < 3; ++i) EXPECT_TRUE(link_->send(5, ProgressMessage{}));
  std::uint64_t last = 0;
  int progresses = 0;
  while (progresses < 3) {
    const std::unique_lock lock(mutex_);
    for (; !heard_.empty(); heard_.pop_front()) {
      if (heard_.front().epoch != 5) continue;
      EXPECT_EQ(heard_.front().sequence, ++last);
      progresses += std::holds_alternative<ProgressMessage>(heard_.front().body) ? 1 : 0;
    }
  }
}

TEST_F(GatewayLinkTest, IntroducesItselfToAGatewayThatWasStartedAgain) {
  open_link();
  greet(5);
  ASSERT_TRUE(hear<BeatMessage>());
  const std::string endpoint = gateway_->endpoint();
  gateway_.reset();
  open_gateway(endpoint);
  greet(6);
  const auto beat = hear<BeatMessage>();
  ASSERT_TRUE(beat);
  EXPECT_EQ(beat->epoch, 6U);
}

TEST_F(GatewayLinkTest, EndsTheGenerationWhenNobodyListens) {
  open_link();
  greet(5);
  gateway_.reset();
  bool sent = true;
  for (int i = 0; i < 200 && sent; ++i) {
    sent = link_->send(5, ProgressMessage{});
    std::this_thread::sleep_for(1ms);
  }
  EXPECT_FALSE(sent);
  EXPECT_TRUE(link_->send(5, ProgressMessage{}));  // Of a generation that is over.
}

TEST_F(GatewayLinkTest, IsLostALeaseAfterTheLastWord) {
  open_link();
  greet(5, 200);
  for (std::uint64_t lease = 1; lease <= 6; ++lease) {
    say(5, lease, LeaseMessage{lease});
    std::this_thread::sleep_for(50ms);
    EXPECT_TRUE(link_->status().ok());
  }
  const auto began = std::chrono::steady_clock::now();
  EXPECT_TRUE(link_->take(5000).empty());
  EXPECT_EQ(link_->status().error().code, ErrorCode::kTimeout);
  EXPECT_GT(std::chrono::steady_clock::now() - began, 100ms);
  EXPECT_EQ(abandoned_, 0);
  std::this_thread::sleep_for(300ms);  // Nobody ends the link: the step thread hangs.
  EXPECT_EQ(abandoned_, 1);
}

TEST_F(GatewayLinkTest, GivesUpWithoutAGateway) {
  gateway_->fence(kReplica);
  open_link(150);
  EXPECT_TRUE(link_->take(5000).empty());
  EXPECT_EQ(link_->status().error().code, ErrorCode::kTimeout);
  EXPECT_NE(link_->status().error().message.find(gateway_->endpoint()), std::string::npos);
}

TEST(GatewayLinkStart, RefusesWhatIsNoEndpoint) {
  GatewayLinkConfig config;
  config.hello = hello();
  for (const char* endpoint : {"", "tcp://*:5", "127.0.0.1:5", "tcp://127.0.0.1:port"}) {
    config.endpoint = endpoint;
    const auto started = GatewayLink::start(config, {}, system_clock());
    ASSERT_FALSE(started.ok()) << endpoint;
    EXPECT_EQ(started.error().code, ErrorCode::kInvalidArgument);
  }
}

}  // namespace
}  // namespace lockstep
