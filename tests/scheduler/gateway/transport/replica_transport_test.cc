#include "scheduler/gateway/transport/replica_transport.h"

#include <gtest/gtest.h>
#include <zmq.h>

#include <array>
#include <chrono>
#include <condition_variable>

namespace lockstep {
namespace {

using namespace std::chrono_literals;

constexpr ReplicaId kA{1};
constexpr ReplicaId kB{2};

HelloMessage hello() {
  HelloMessage message;
  message.model_id.bytes.fill(1);
  message.context_tokens = 100;
  message.max_sequences = 4;
  message.ranks = {{"host", 1, 1}};
  return message;
}

// What the receiver got, in order.
class Inbox {
 public:
  void put(ReplicaId replica, ToGateway message) {
    const std::scoped_lock lock(mutex_);
    messages_.emplace_back(replica, std::move(message));
    arrived_.notify_all();
  }
  // The next message, or nothing within `patience`.
  std::optional<std::pair<ReplicaId, ToGateway>> next(std::chrono::milliseconds patience = 5s) {
    std::unique_lock lock(mutex_);
    if (!arrived_.wait_for(lock, patience, [this] { return !messages_.empty(); })) {
      return std::nullopt;
    }
    auto message = std::move(messages_.front());
    messages_.pop_front();
    return message;
  }

 private:
  std::mutex mutex_;
  std::condition_variable arrived_;
  std::deque<std::pair<ReplicaId, ToGateway>> messages_;
};

class ReplicaTransportTest : public ::testing::Test {
 protected:
  void SetUp() override {
    ReplicaTransportConfig config;
    config.keys = keys_;
    config.max_queued = 4;
    config.handshake_ms = 300;
    auto started = ReplicaTransport::start(
        config, [this](ReplicaId replica, ToGateway message) { inbox_.put(replica, message); });
    ASSERT_TRUE(started.ok()) << started.error().message;
    transport_ = std::move(started).value();
  }

  ZmqSocket dial(const CurveKeyPair& own) {
    auto socket = ZmqSocket::dealer(context_, own, keys_.public_key, {});
    EXPECT_TRUE(socket.ok());
    EXPECT_TRUE(socket.value().connect(transport_->endpoint()).ok());
    return std::move(socket).value();
  }

  // Tries for as long as there is no connection.
  static bool say(ZmqSocket& socket, std::span<const ByteView> frames,
                  std::chrono::milliseconds patience = 5s) {
    const auto until = std::chrono::steady_clock::now() + patience;
    while (std::chrono::steady_clock::now() < until) {
      if (socket.send(frames) == ZmqSent::kSent) return true;
      std::this_thread::sleep_for(2ms);
    }
    return false;
  }
  static bool say(ZmqSocket& socket, const ToGateway& message,
                  std::chrono::milliseconds patience = 5s) {
    const Bytes bytes = encode_wire(message);
    return say(socket, std::array<ByteView, 1>{bytes}, patience);
  }

  static std::optional<ToReplica> hear(ZmqSocket& socket, std::chrono::milliseconds patience = 5s) {
    const auto until = std::chrono::steady_clock::now() + patience;
    while (std::chrono::steady_clock::now() < until) {
      if (auto message = socket.receive(1)) {
        auto decoded = decode_to_replica(message->frames[0]);
        EXPECT_TRUE(decoded.ok());
        return std::move(decoded).value();
      }
      std::this_thread::sleep_for(1ms);
    }
    return std::nullopt;
  }

  // Waits until `counter` is `value`.
  bool counts(std::uint64_t ReplicaTransport::Counts::*counter, std::uint64_t value) {
    const auto until = std::chrono::steady_clock::now() + 5s;
    while (std::chrono::steady_clock::now() < until) {
      if (transport_->counts().*counter == value) return true;
      std::this_thread::sleep_for(2ms);
    }
    return false;
  }

  const CurveKeyPair keys_ = make_curve_key_pair(system_random());
  const CurveKeyPair a_ = make_curve_key_pair(system_random());
  const CurveKeyPair b_ = make_curve_key_pair(system_random());
  Inbox inbox_;
  std::unique_ptr<ReplicaTransport> transport_;
  ZmqContext context_;
};

using Counts = ReplicaTransport::Counts;

TEST_F(ReplicaTransportTest, BringsMessagesBothWaysInOrder) {
  transport_->allow(kA, a_.public_key);
  ZmqSocket socket = dial(a_);
  ASSERT_TRUE(say(socket, {0, 0, hello()}));
  auto got = inbox_.next();
  ASSERT_TRUE(got);
  EXPECT_EQ(got->first, kA);
  EXPECT_TRUE(std::holds_alternative<HelloMessage>(got->second.body));

  ASSERT_TRUE(transport_->send(kA, {7, 0, WelcomeMessage{7, 1000, 100}}).ok());
  ASSERT_TRUE(transport_->send(kA, {7, 1, LeaseMessage{9}}).ok());
  EXPECT_TRUE(std::holds_alternative<WelcomeMessage>(hear(socket)->body));
  EXPECT_EQ(std::get<LeaseMessage>(hear(socket)->body).sequence, 9U);
  ASSERT_TRUE(say(socket, {7, 1, BeatMessage{.sequence = 9}}));
  EXPECT_EQ(std::get<BeatMessage>(inbox_.next()->second.body).sequence, 9U);
  EXPECT_TRUE(counts(&Counts::received, 2));
  EXPECT_TRUE(counts(&Counts::sent, 2));
}

TEST_F(ReplicaTransportTest, KnowsAPeerByItsKeyAlone) {
  transport_->allow(kA, a_.public_key);
  transport_->allow(kB, b_.public_key);
  ZmqSocket socket = dial(b_);
  HelloMessage lie = hello();
  lie.device = "I am replica 1";
  ASSERT_TRUE(say(socket, {0, 0, lie}));
  EXPECT_EQ(inbox_.next()->first, kB);
  EXPECT_EQ(transport_->send(kA, {0, 0, DrainMessage{}}).error().code, ErrorCode::kUnavailable);
}

TEST_F(ReplicaTransportTest, RefusesAnUnknownKey) {
  transport_->allow(kA, a_.public_key);
  ZmqSocket socket = dial(b_);
  EXPECT_FALSE(say(socket, {0, 0, hello()}, 300ms));
  EXPECT_GE(transport_->counts().refused_clients, 1U);
  EXPECT_EQ(transport_->counts().received, 0U);
}

TEST_F(ReplicaTransportTest, RefusesAClientThatExpectsAnotherGateway) {
  transport_->allow(kA, a_.public_key);
  auto socket = ZmqSocket::dealer(context_, a_, b_.public_key, {});
  ASSERT_TRUE(socket.value().connect(transport_->endpoint()).ok());
  EXPECT_FALSE(say(socket.value(), {0, 0, hello()}, 300ms));
  EXPECT_EQ(transport_->counts().received, 0U);
}

TEST_F(ReplicaTransportTest, RefusesAClientWithoutCurve) {
  transport_->allow(kA, a_.public_key);
  void* plain = zmq_socket(context_.get(), ZMQ_DEALER);
  const int zero = 0;
  const int one = 1;
  zmq_setsockopt(plain, ZMQ_LINGER, &zero, sizeof zero);
  zmq_setsockopt(plain, ZMQ_IMMEDIATE, &one, sizeof one);
  ASSERT_EQ(zmq_connect(plain, transport_->endpoint().c_str()), 0);
  const Bytes bytes = encode_wire(ToGateway{0, 0, hello()});
  for (int i = 0; i < 100; ++i) {
    (void)zmq_send(plain, bytes.data(), bytes.size(), ZMQ_DONTWAIT);
    std::this_thread::sleep_for(3ms);
  }
  zmq_close(plain);
  EXPECT_EQ(transport_->counts().received, 0U);
  EXPECT_FALSE(inbox_.next(10ms));
}

TEST_F(ReplicaTransportTest, DropsWhatAFencedReplicaSaysOnItsOpenConnection) {
  transport_->allow(kA, a_.public_key);
  ZmqSocket socket = dial(a_);
  ASSERT_TRUE(say(socket, {0, 0, hello()}));
  ASSERT_TRUE(inbox_.next());

  transport_->fence(kA);

  ASSERT_TRUE(say(socket, {1, 1, BeatMessage{}}));
  ASSERT_TRUE(say(socket, {0, 0, hello()}));
  EXPECT_TRUE(counts(&Counts::dropped_strangers, 2));
  EXPECT_FALSE(inbox_.next(10ms));
  EXPECT_FALSE(transport_->send(kA, {0, 0, DrainMessage{}}).ok());
  // Nor does the old key become the replica's next generation.
  transport_->allow(kA, b_.public_key);
  ASSERT_TRUE(say(socket, {0, 0, hello()}));
  EXPECT_TRUE(counts(&Counts::dropped_strangers, 3));
  ZmqSocket next = dial(b_);
  ASSERT_TRUE(say(next, {0, 0, hello()}));
  EXPECT_EQ(inbox_.next()->first, kA);
}

TEST_F(ReplicaTransportTest, RefusesAFencedKeyThatComesAgain) {
  transport_->allow(kA, a_.public_key);
  transport_->fence(kA);
  ZmqSocket socket = dial(a_);
  EXPECT_FALSE(say(socket, {0, 0, hello()}, 300ms));
  EXPECT_GE(transport_->counts().refused_clients, 1U);
}

TEST_F(ReplicaTransportTest, AsksANewConnectionForItsHello) {
  transport_->allow(kA, a_.public_key);
  {
    ZmqSocket first = dial(a_);
    ASSERT_TRUE(say(first, {0, 0, hello()}));
    ASSERT_TRUE(inbox_.next());
  }
  ZmqSocket second = dial(a_);
  ASSERT_TRUE(say(second, {1, 5, BeatMessage{}}));
  EXPECT_TRUE(std::holds_alternative<IdentifyMessage>(hear(second)->body));
  EXPECT_FALSE(inbox_.next(10ms));
  ASSERT_TRUE(say(second, {0, 0, hello()}));
  ASSERT_TRUE(say(second, {2, 1, BeatMessage{}}));
  EXPECT_TRUE(std::holds_alternative<HelloMessage>(inbox_.next()->second.body));
  EXPECT_TRUE(std::holds_alternative<BeatMessage>(inbox_.next()->second.body));
  ASSERT_TRUE(transport_->send(kA, {2, 1, LeaseMessage{3}}).ok());
  EXPECT_EQ(std::get<LeaseMessage>(hear(second)->body).sequence, 3U);
}

TEST_F(ReplicaTransportTest, CountsAndDropsGarbage) {
  transport_->allow(kA, a_.public_key);
  ZmqSocket socket = dial(a_);
  ASSERT_TRUE(say(socket, {0, 0, hello()}));
  ASSERT_TRUE(inbox_.next());
  const Bytes garbage{0xDE, 0xAD, 0xBE, 0xEF};
  const Bytes beat = encode_wire(ToGateway{1, 1, BeatMessage{}});
  ASSERT_TRUE(say(socket, std::array<ByteView, 1>{garbage}));
  ASSERT_TRUE(say(socket, std::array<ByteView, 1>{ByteView{}}));
  ASSERT_TRUE(say(socket, std::array<ByteView, 2>{beat, beat}));
  ASSERT_TRUE(say(socket, std::array<ByteView, 3>{beat, garbage, beat}));
  EXPECT_TRUE(counts(&Counts::dropped_corrupt, 4));
  // And is none the worse for it.
  ASSERT_TRUE(say(socket, std::array<ByteView, 1>{beat}));
  EXPECT_TRUE(std::holds_alternative<BeatMessage>(inbox_.next()->second.body));
}

TEST_F(ReplicaTransportTest, ClosesAConnectionThatSendsTooMuch) {
  transport_->allow(kA, a_.public_key);
  ZmqSocket socket = dial(a_);
  ASSERT_TRUE(say(socket, {0, 0, hello()}));
  ASSERT_TRUE(inbox_.next());
  const Bytes large(kMaxToGatewayBytes + 1000);
  ASSERT_TRUE(say(socket, std::array<ByteView, 1>{large}));
  // Whatever comes next comes over a new connection.
  const auto until = std::chrono::steady_clock::now() + 5s;
  std::optional<ToReplica> answer;
  while (!answer && std::chrono::steady_clock::now() < until) {
    (void)say(socket, {1, 1, BeatMessage{}}, 100ms);
    answer = hear(socket, 50ms);
  }
  ASSERT_TRUE(answer);
  EXPECT_TRUE(std::holds_alternative<IdentifyMessage>(answer->body));
  EXPECT_EQ(transport_->counts().dropped_corrupt, 0U);
}

TEST_F(ReplicaTransportTest, EndsTheSessionOfAReplicaThatIsGone) {
  transport_->allow(kA, a_.public_key);
  {
    ZmqSocket socket = dial(a_);
    ASSERT_TRUE(say(socket, {0, 0, hello()}));
    ASSERT_TRUE(inbox_.next());
  }
  Status status;
  const auto until = std::chrono::steady_clock::now() + 5s;
  while (status.ok() && std::chrono::steady_clock::now() < until) {
    status = transport_->send(kA, {1, 1, LeaseMessage{1}});
    std::this_thread::sleep_for(5ms);
  }
  EXPECT_FALSE(status.ok());
  EXPECT_GE(transport_->counts().undelivered, 1U);
}

// More than is read at once: an order fails on the closed connection while its last words wait.
TEST_F(ReplicaTransportTest, AsksWhoItIsOnceForAllThatWasSaid) {
  transport_->allow(kA, a_.public_key);
  ZmqSocket socket = dial(a_);
  for (std::uint64_t i = 1; i <= 100; ++i) ASSERT_TRUE(say(socket, {1, i, BeatMessage{}}));
  ASSERT_TRUE(counts(&Counts::dropped_unidentified, 100));
  EXPECT_TRUE(std::holds_alternative<IdentifyMessage>(hear(socket)->body));
  EXPECT_FALSE(hear(socket, 100ms));
  // Again when that did not help.
  std::this_thread::sleep_for(600ms);
  ASSERT_TRUE(say(socket, {1, 101, BeatMessage{}}));
  EXPECT_TRUE(std::holds_alternative<IdentifyMessage>(hear(socket)->body));
}

TEST_F(ReplicaTransportTest, HearsTheLastWordsOfAReplicaThatCannotBeReachedAnyMore) {
  constexpr std::uint64_t kMessages = 600;
  std::atomic<std::uint64_t> heard = 0;
  std::atomic<bool> gone = false;
  ReplicaTransportConfig config;
  config.keys = keys_;
  auto started = ReplicaTransport::start(config, [&](ReplicaId, const ToGateway& message) {
    heard.store(message.sequence);
    while (message.sequence == 1 && !gone.load()) std::this_thread::sleep_for(1ms);
  });
  ASSERT_TRUE(started.ok()) << started.error().message;
  transport_ = std::move(started).value();
  transport_->allow(kA, a_.public_key);
  {
    ZmqSocket socket = dial(a_);
    ASSERT_TRUE(say(socket, {0, 0, hello()}));
    for (std::uint64_t i = 1; i <= kMessages; ++i) ASSERT_TRUE(say(socket, {1, i, BeatMessage{}}));
  }
  std::this_thread::sleep_for(200ms);  // For the connection's end to be seen.
  ASSERT_TRUE(transport_->send(kA, {1, 1, LeaseMessage{1}}).ok());
  gone.store(true);
  EXPECT_TRUE(counts(&Counts::received, kMessages + 1));
  EXPECT_EQ(heard.load(), kMessages);
  EXPECT_EQ(transport_->counts().undelivered, 1U);
  EXPECT_FALSE(transport_->send(kA, {1, 2, LeaseMessage{2}}).ok());
}

TEST_F(ReplicaTransportTest, RefusesInvalidMessagesBeforeTheyAreSent) {
  EXPECT_EQ(transport_->send(kA, {1, 0, WelcomeMessage{2, 1000, 100}}).error().code,
            ErrorCode::kInvalidArgument);
  EXPECT_EQ(transport_->send(kA, {1, 0, DrainMessage{}}).error().code, ErrorCode::kUnavailable);
}

TEST(ReplicaTransportStart, RefusesEveryWildcard) {
  for (const char* endpoint : {"tcp://*:0", "tcp://0.0.0.0:0", "tcp://[::]:0", "tcp://0:0",
                               "tcp://:5555", "ipc://x", "5555"}) {
    ReplicaTransportConfig config;
    config.keys = make_curve_key_pair(system_random());
    config.endpoint = endpoint;
    const auto started = ReplicaTransport::start(config, [](ReplicaId, ToGateway) {});
    ASSERT_FALSE(started.ok()) << endpoint;
    EXPECT_EQ(started.error().code, ErrorCode::kInvalidArgument) << endpoint;
  }
}

TEST(ReplicaTransportStart, SaysThatAnAddressIsTaken) {
  ReplicaTransportConfig config;
  config.keys = make_curve_key_pair(system_random());
  const auto first = ReplicaTransport::start(config, [](ReplicaId, ToGateway) {});
  ASSERT_TRUE(first.ok());
  config.endpoint = first.value()->endpoint();
  const auto second = ReplicaTransport::start(config, [](ReplicaId, ToGateway) {});
  ASSERT_FALSE(second.ok());
  EXPECT_EQ(second.error().code, ErrorCode::kUnavailable);
  EXPECT_NE(second.error().message.find(config.endpoint), std::string::npos);
}

}  // namespace
}  // namespace lockstep
