// ZeroMQ sockets with what must be set on every one: CURVE, bounded sizes and queues, heartbeats, a
// deadline of the handshake, an address with a name. There is no way to an open socket here.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "base/bytes.h"
#include "base/curve_key.h"
#include "base/result.h"

namespace lockstep {

struct ZmqLimits {
  std::size_t max_message_bytes = 1 << 20;  // Of a frame that comes; a longer one ends its
                                            // connection.
  int max_queued = 1000;  // Messages in each direction and connection (high-water mark).
  int handshake_ms = 2000;
  int heartbeat_ms = 1000;  // A connection silent for three of them is closed.
  int linger_ms = 500;      // What close() waits for messages on their way.
};

// Sockets of one context see each other's inproc addresses. Outlives its sockets. Thread-safe.
class ZmqContext {
 public:
  ZmqContext();
  ~ZmqContext();
  ZmqContext(const ZmqContext&) = delete;
  ZmqContext& operator=(const ZmqContext&) = delete;
  void* get() const { return context_; }

 private:
  void* context_;
};

// The frames of a message that came, and whom the allow-list (zap_handler.h) took the sender for.
struct ZmqMessage {
  std::vector<Bytes> frames;  // At most as many as asked for.
  bool more_frames = false;   // There were more; they are gone.
  std::string user;           // Empty: nobody.
};

enum class ZmqSent {
  kSent,
  kFull,         // The queue to that peer is full, or (dealer) there is no connection now.
  kUnreachable,  // There is no such connection (router).
};

// Of one thread at a time.
class ZmqSocket {
 public:
  ZmqSocket() = default;
  ZmqSocket(ZmqSocket&& other) noexcept;
  ZmqSocket& operator=(ZmqSocket&& other) noexcept;
  ~ZmqSocket();

  // The server of many peers; the first frame is the connection. Peers are let in by the ZapHandler
  // of the context. Without one libzmq 4.3 lets everybody in, as nobody: the caller makes the
  // handler first, and drops messages without a user.
  static Result<ZmqSocket> router(ZmqContext& context, const CurveSecretKey& own,
                                  const ZmqLimits& limits);
  // The client of one server, and of none that has not the key `server`.
  static Result<ZmqSocket> dealer(ZmqContext& context, const CurveKeyPair& own,
                                  const CurvePublicKey& server, const ZmqLimits& limits);
  // The inproc socket that the context asks about clients. One a context.
  static Result<ZmqSocket> zap(ZmqContext& context);

  // `endpoint`: "tcp://ADDRESS:PORT", port 0 for any. kInvalidArgument for a wildcard address,
  // kUnavailable when the address cannot be had.
  Status bind(const std::string& endpoint);
  // Where it is bound, with the port.
  Result<std::string> endpoint() const;
  // Does not wait for the peer, who need not be there yet.
  Status connect(const std::string& endpoint);

  // Neither blocks.
  ZmqSent send(std::span<const ByteView> frames);
  std::optional<ZmqMessage> receive(std::size_t max_frames);

  void* get() const { return socket_; }

 private:
  ZmqSocket(ZmqContext& context, int type);
  Status set(int option, const void* value, std::size_t bytes);
  Status set(int option, int value) { return set(option, &value, sizeof value); }
  Status limit(const ZmqLimits& limits);
  void close();

  void* socket_ = nullptr;
};

// Rings the thread that waits in wait_for_messages. Thread-safe.
class Wakeup {
 public:
  Wakeup();
  ~Wakeup();
  Wakeup(const Wakeup&) = delete;
  Wakeup& operator=(const Wakeup&) = delete;
  void ring() const;
  void silence() const;  // What was rung so far is forgotten.
  int fd() const { return fd_; }

 private:
  int fd_;
};

// Blocks until a socket has a message, `wakeup` was rung, or the time is over; silences it.
void wait_for_messages(std::span<const ZmqSocket* const> sockets, const Wakeup& wakeup,
                       int timeout_ms);

}  // namespace lockstep
