// A replica's end of the connection to its gateway: one thread that owns the socket and lets the
// protocol (link_protocol.h) say what is sent. It knows nothing of sequences.
#pragma once

#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <variant>
#include <vector>

#include "base/clock.h"
#include "base/curve_key.h"
#include "base/wire.h"
#include "base/zmq_socket.h"
#include "worker/service/link_protocol.h"

namespace lockstep {

struct GatewayLinkConfig {
  std::string endpoint;  // Of the gateway.
  ReplicaKeys keys;
  HelloMessage hello;
  int patience_ms = 60'000;      // How long to look for a gateway that answers at all.
  int hello_ms = 500;            // Between two tries.
  int farewell_ms = 2'000;       // After the lease, for whoever owns the link to end it.
  std::size_t max_queued = 256;  // Messages in each direction.
};

class GatewayLink {
 public:
  struct Hooks {
    std::function<BeatMessage()> beat;  // What to say of the replica now; on the link's thread.
    // The lease is over and the owner did not end the link in time: its step thread hangs.
    std::function<void()> abandon;
  };

  // kInvalidArgument when the endpoint is none. `clock` must outlive the link.
  static Result<std::unique_ptr<GatewayLink>> start(GatewayLinkConfig config, Hooks hooks,
                                                    const Clock& clock);
  // What is queued goes out, if there is a connection.
  ~GatewayLink();
  GatewayLink(const GatewayLink&) = delete;
  GatewayLink& operator=(const GatewayLink&) = delete;

  // The gateway's orders so far, in order, of the current generation and Welcomes; waits at most
  // `wait_ms` for one. Nothing at once when the link is lost.
  std::vector<ToReplica> take(int wait_ms);

  // Says something as generation `epoch`; what another generation says is dropped. False when the
  // queue is full: the generation is over, and another begins with a Welcome.
  bool send(std::uint64_t epoch, std::variant<ProgressMessage, DrainedMessage> body);

  // Why there is no gateway any more, once that is so.
  Status status() const;

 private:
  GatewayLink(GatewayLinkConfig config, Hooks hooks, const Clock& clock);
  void run();
  void receive_all();
  void keep_lease();
  void send_all();
  int next_wait_ms() const;
  std::int64_t now_ms() const { return clock_.monotonic_ns() / 1'000'000; }

  const GatewayLinkConfig config_;
  const Hooks hooks_;
  const Clock& clock_;
  Wakeup wakeup_;
  ZmqContext context_;

  // Of the link's thread.
  ZmqSocket socket_;
  bool abandoned_ = false;

  mutable std::mutex mutex_;  // Of what follows, down to the blank line.
  std::condition_variable arrived_;
  LinkProtocol protocol_;
  Status lost_;

  std::atomic<bool> stopping_ = false;
  std::thread thread_;
};

}  // namespace lockstep
