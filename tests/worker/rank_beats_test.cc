#include "worker/rank_beats.h"

#include <gtest/gtest.h>

#include <chrono>

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

TEST(RankBeats, AreNotSentOnOneHost) {
  const Ranks ranks({"a", "a"});
  std::this_thread::sleep_for(30ms);
  EXPECT_EQ(ranks.beats_[0]->oldest_ms(), 0U);
}

}  // namespace
}  // namespace lockstep
