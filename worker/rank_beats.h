// Life signs between the leader and the ranks of other hosts, outside MPI, which notices neither a
// stopped rank nor one that is cut off. On one host nothing is sent: there the gateway watches the
// processes themselves.
//
// A rank beats to the leader each interval and is answered; the leader knows how long the quietest
// has been silent, and a rank that has not been answered for a lease ends itself.
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "base/clock.h"
#include "base/wire.h"
#include "base/zap_handler.h"
#include "base/zmq_socket.h"
#include "worker/communicator.h"

namespace lockstep {

struct RankBeatsConfig {
  // Of the leader's host, as the other hosts reach it; empty: what its name resolves to.
  std::string address;
  int interval_ms = 1000;
  int lease_ms = 10'000;
  // On a rank other than the leader, on the beats' thread: the leader is lost. Ends the process.
  std::function<void()> on_lost;
};

class RankBeats {
 public:
  // Collective. `processes` are those of all ranks (rank_processes.h): ranks of the leader's host
  // do not beat. `clock` must outlive the beats. kUnavailable when the leader has no such address.
  static Result<std::unique_ptr<RankBeats>> start(Communicator& group,
                                                  const std::vector<RankProcess>& processes,
                                                  RankBeatsConfig config, const Clock& clock);
  ~RankBeats();
  RankBeats(const RankBeats&) = delete;
  RankBeats& operator=(const RankBeats&) = delete;

  // On the leader: how long ago the quietest rank of another host was heard; 0 without one. Any
  // thread.
  std::uint32_t oldest_ms() const;

 private:
  RankBeats(RankBeatsConfig config, const Clock& clock);
  Status listen();
  Status exchange(Communicator& group);
  void lead();
  void beat();
  std::int64_t now_ms() const { return clock_.monotonic_ns() / 1'000'000; }

  const RankBeatsConfig config_;
  const Clock& clock_;
  const CurveKeyPair keys_;
  std::vector<std::uint32_t> far_ranks_;
  CurvePublicKey leader_key_;
  std::string endpoint_;  // Of the leader.
  Wakeup wakeup_;
  CurveAllowList allow_list_;
  std::vector<std::atomic<std::int64_t>> heard_ms_;  // By rank; on the leader.

  // Of the thread, once it runs.
  ZmqContext context_;
  std::unique_ptr<ZapHandler> zap_;
  ZmqSocket socket_;

  std::atomic<bool> stopping_ = false;
  std::thread thread_;
};

}  // namespace lockstep
