// The gateway's end of the connections to the leaders of its replicas: ZeroMQ with CURVE and an
// allow-list. A peer is the key that it connected with; nothing that it says of itself counts.
//
// Messages of one connection keep their order, and none is missing in between. What cannot be
// delivered ends the connection's session: the replica must say Hello again before it is heard, and
// whoever gets that Hello begins a new generation.
#pragma once

#include <atomic>
#include <chrono>
#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <thread>

#include "base/curve_key.h"
#include "base/wire.h"
#include "base/zap_handler.h"
#include "base/zmq_socket.h"
#include "scheduler/replica_id.h"

namespace lockstep {

struct ReplicaTransportConfig {
  std::string endpoint = "tcp://127.0.0.1:0";  // One address; port 0: any.
  CurveKeyPair keys;                           // Of the gateway.
  int max_queued = 1000;  // Messages to one replica, in the socket and in front of it each.
  int handshake_ms = 2000;
  int heartbeat_ms = 1000;  // ZeroMQ's own; the leases stand above.
};

class ReplicaTransport {
 public:
  // Gets each message, of an allowed replica, on the socket's thread. Must not block: handshakes
  // wait for it, too.
  using Receiver = std::function<void(ReplicaId, ToGateway)>;

  // kInvalidArgument for a wildcard address, kUnavailable when the address is taken.
  static Result<std::unique_ptr<ReplicaTransport>> start(ReplicaTransportConfig config,
                                                         Receiver receiver);
  // Sends what is queued, as far as it goes in half a second, and stops. The receiver is not called
  // any more.
  ~ReplicaTransport();
  ReplicaTransport(const ReplicaTransport&) = delete;
  ReplicaTransport& operator=(const ReplicaTransport&) = delete;

  // Where replicas connect to, with the port.
  const std::string& endpoint() const { return endpoint_; }

  // The key by which the replica may come from now on; an older one of it is fenced. Any thread, as
  // the rest.
  void allow(ReplicaId replica, const CurvePublicKey& key);
  // Nothing of the replica is heard from when this returns, whatever is on its way, until it is
  // allowed a key again. A call of the receiver that is under way may still end after it.
  void fence(ReplicaId replica);

  // Queues a message. kInvalidArgument: no valid message. kUnavailable: the replica has not said
  // Hello. kExhausted: its queue is full, and its session is over.
  Status send(ReplicaId replica, const ToReplica& message);

  struct Counts {
    std::uint64_t received = 0;  // Messages given to the receiver.
    std::uint64_t sent = 0;
    std::uint64_t refused_clients = 0;    // Handshakes with a key that is not on the list.
    std::uint64_t dropped_strangers = 0;  // Messages of a key that is no longer on the list.
    std::uint64_t dropped_corrupt = 0;
    std::uint64_t dropped_unidentified = 0;  // That came before the Hello of their connection.
    std::uint64_t undelivered = 0;           // To replicas that were gone, or too slow.
  };
  Counts counts() const;

 private:
  // A replica that has said Hello, on the connection that it said it on.
  struct Session {
    Bytes connection;
    std::size_t queued = 0;        // Messages in outbox_ ...
    std::size_t queued_bytes = 0;  // ... and their bytes.
    // Something sent on it was lost: nothing more is, until the replica says Hello again. What it
    // says until then counts: it may be the last words of one that has left.
    bool broken = false;
  };
  // Whom a connection's words were answered with Identify last, and when.
  struct Asked {
    Bytes connection;
    std::chrono::steady_clock::time_point at;
  };
  enum class Heard { kYes, kYesBroken, kStranger, kUnidentified };
  struct Outgoing {
    ReplicaId replica{};
    Bytes connection;
    Bytes bytes;
  };

  ReplicaTransport(ReplicaTransportConfig config, Receiver receiver);
  Status open();
  void run();
  void receive_all();
  void receive(const ZmqMessage& message);
  // Whether a message counts; one that is a Hello begins a session.
  Heard hear(ReplicaId replica, const ZmqMessage& message, bool is_hello);
  void ask_who_it_is(ReplicaId replica, const Bytes& connection);
  void send_all();

  const ReplicaTransportConfig config_;
  const Receiver receiver_;
  std::string endpoint_;
  Wakeup wakeup_;
  CurveAllowList allow_list_;

  // Of the socket's thread. The context goes last.
  ZmqContext context_;
  std::unique_ptr<ZapHandler> zap_;
  ZmqSocket socket_;

  mutable std::mutex mutex_;  // Of what follows, down to the blank line.
  std::map<ReplicaId, CurvePublicKey> keys_;
  std::map<ReplicaId, Session> sessions_;
  std::map<ReplicaId, Asked> asked_;
  std::deque<Outgoing> outbox_;
  Counts counts_;

  std::atomic<bool> stopping_ = false;
  std::thread thread_;
};

}  // namespace lockstep
