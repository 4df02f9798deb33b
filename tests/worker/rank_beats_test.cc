#include "worker/rank_beats.h"

#include <gtest/gtest.h>
#include <zmq.h>

#include <array>
#include <chrono>

#include "base/random.h"
#include "worker/rank_processes.h"

namespace lockstep {
namespace {

using namespace std::chrono_literals;

bool soon(const std::function<bool()>& holds) {
  const auto until = std::chrono::steady_clock::now() + 5s;
  while (std::chrono::steady_clock::now() < until) {
    if (holds()) return true;
    std::this_thread::sleep_for(1ms);
  }
  return false;
}

// Ranks as threads that say that they are on the given hosts.
class Ranks {
 public:
  explicit Ranks(const std::vector<std::string>& hosts)
      : beats_(hosts.size()), errors_(hosts.size()) {
    auto group = make_local_group(static_cast<int>(hosts.size()));
    std::vector<std::thread> threads;
    for (std::size_t rank = 0; rank < hosts.size(); ++rank) {
      threads.emplace_back([&, rank] {
        const RankProcess mine{hosts[rank], static_cast<std::int64_t>(rank) + 1, 100 + rank};
        auto processes = exchange_processes(*group[rank], mine);
        RankBeatsConfig config;
        config.address = "127.0.0.1";
        config.interval_ms = 10;
        config.lease_ms = 500;
        config.on_lost = [this] { ++lost_; };
        auto started = RankBeats::start(*group[rank], processes.value(), config, system_clock());
        if (rank == 0) processes_ = processes.value();
        if (started.ok()) {
          beats_[rank] = std::move(started).value();
        } else {
          errors_[rank] = started.error().message;
        }
      });
    }
    for (std::thread& thread : threads) thread.join();
  }

  std::vector<std::unique_ptr<RankBeats>> beats_;
  std::vector<std::string> errors_;
  std::vector<RankProcess> processes_;
  std::atomic<int> lost_ = 0;
};

TEST(ExchangeProcesses, TellsEveryRankAboutAll) {
  const Ranks ranks({"a", "b", std::string(255, 'c')});
  ASSERT_EQ(ranks.processes_.size(), 3U);
  EXPECT_EQ(ranks.processes_[0].host, "a");
  EXPECT_EQ(ranks.processes_[1].host, "b");
  EXPECT_EQ(ranks.processes_[1].pid, 2);
  EXPECT_EQ(ranks.processes_[1].start_ticks, 101U);
  EXPECT_EQ(ranks.processes_[2].host, std::string(255, 'c'));
}

TEST(RankBeats, TellTheLeaderHowLongTheQuietestIsSilent) {
  Ranks ranks({"a", "b", "c", "a"});
  for (const std::string& error : ranks.errors_) EXPECT_EQ(error, "");
  std::this_thread::sleep_for(200ms);
  EXPECT_TRUE(soon([&] { return ranks.beats_[0]->oldest_ms() < 100; }));
  ranks.beats_[2].reset();  // One of them falls silent; the other goes on.
  EXPECT_TRUE(soon([&] { return ranks.beats_[0]->oldest_ms() >= 300; }));
  EXPECT_EQ(ranks.beats_[1]->oldest_ms(), 0U);
  EXPECT_EQ(ranks.lost_, 0);
}

TEST(RankBeats, EndARankThatHasLostItsLeader) {
  Ranks ranks({"a", "b", "a"});
  ranks.beats_[0].reset();
  EXPECT_TRUE(soon([&] { return ranks.lost_ == 1; }));
}

// What the leader tells all ranks of its socket, seen by a rank that is none of those which beat.
struct Card {
  CurvePublicKey leader;
  std::string endpoint;
};

Card overhear(Communicator& group) {
  EXPECT_TRUE(agree(group, {}).ok());
  Bytes card;
  EXPECT_TRUE(group.broadcast(card).ok());
  constexpr std::size_t kKeyFloats = sizeof(CurvePublicKey) / sizeof(float);
  const std::vector<float> mine(kKeyFloats, 1.0F);
  std::vector<float> all(3 * kKeyFloats);
  EXPECT_TRUE(group.gather(mine, std::vector<std::size_t>(3, kKeyFloats), all, 0).ok());
  Card seen;
  std::copy_n(card.begin(), seen.leader.bytes.size(), seen.leader.bytes.begin());
  seen.endpoint.assign(card.begin() + sizeof(CurvePublicKey), card.end());
  return seen;
}

// Whether somebody is answered who says at the socket what ranks say.
bool is_answered(void* socket, const std::string& endpoint) {
  const int zero = 0;
  zmq_setsockopt(socket, ZMQ_LINGER, &zero, sizeof zero);
  if (zmq_connect(socket, endpoint.c_str()) != 0) return false;
  for (int i = 0; i < 30; ++i) {
    const std::array<char, 4> beat{1, 0, 0, 0};
    (void)zmq_send(socket, beat.data(), beat.size(), ZMQ_DONTWAIT);
    std::this_thread::sleep_for(10ms);
    std::array<char, 64> answer{};
    if (zmq_recv(socket, answer.data(), answer.size(), ZMQ_DONTWAIT) >= 0) return true;
  }
  return false;
}

TEST(RankBeats, AnswerNobodyWhoseKeyIsNotKnown) {
  auto group = make_local_group(3);
  const std::vector<RankProcess> processes = {{"a", 1, 1}, {"b", 2, 2}, {"a", 3, 3}};
  std::array<std::unique_ptr<RankBeats>, 2> beats;
  std::vector<std::thread> threads;
  for (const std::size_t rank : {0, 1}) {
    threads.emplace_back([&, rank] {
      RankBeatsConfig config;
      config.address = "127.0.0.1";
      config.interval_ms = 10;
      beats[rank] = RankBeats::start(*group[rank], processes, config, system_clock()).value();
    });
  }
  const Card card = overhear(*group[2]);
  for (std::thread& thread : threads) thread.join();
  ASSERT_TRUE(card.endpoint.starts_with("tcp://127.0.0.1:")) << card.endpoint;

  ZmqContext context;
  void* plain = zmq_socket(context.get(), ZMQ_DEALER);
  EXPECT_FALSE(is_answered(plain, card.endpoint)) << "without CURVE";
  zmq_close(plain);
  const CurveKeyPair unknown = make_curve_key_pair(system_random());
  const ZmqSocket stranger = ZmqSocket::dealer(context, unknown, card.leader, {}).value();
  EXPECT_FALSE(is_answered(stranger.get(), card.endpoint)) << "with a key of its own";
  EXPECT_TRUE(soon([&] { return beats[0]->oldest_ms() < 100; })) << "the rank that may is heard";
}

TEST(RankBeats, AreNotSentOnOneHost) {
  const Ranks ranks({"a", "a"});
  std::this_thread::sleep_for(30ms);
  EXPECT_EQ(ranks.beats_[0]->oldest_ms(), 0U);
}

}  // namespace
}  // namespace lockstep
