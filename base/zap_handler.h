// Who may connect to the CURVE servers of a ZeroMQ context (RFC 27, ZAP). CURVE alone would let
// every key in.
#pragma once

#include <cstdint>
#include <map>
#include <mutex>
#include <optional>
#include <string>

#include "base/curve_key.h"
#include "base/zmq_socket.h"

namespace lockstep {

// The public keys that may connect, and the number that the caller knows each by. Thread-safe.
class CurveAllowList {
 public:
  // An older entry of the key is replaced.
  void allow(const CurvePublicKey& key, std::uint32_t peer);
  // Its connections stay open, but what they say is from nobody (peer_of).
  void remove(const CurvePublicKey& key);

  std::optional<std::uint32_t> find(const CurvePublicKey& key) const;
  // Who a message is from, by the user id that the handler gave its connection; nothing when the
  // key is no longer allowed.
  std::optional<std::uint32_t> peer_of(const std::string& user) const;

 private:
  mutable std::mutex mutex_;
  std::map<CurvePublicKey, std::uint32_t> peers_;
};

// Answers the context's questions from an allow-list. Of one thread at a time.
class ZapHandler {
 public:
  // `allow_list` must outlive the handler. kInternal when the context has a handler already.
  static Result<ZapHandler> start(ZmqContext& context, const CurveAllowList& allow_list);

  // To wait on.
  const ZmqSocket& socket() const { return socket_; }
  // Answers what came. Returns how many clients were refused.
  std::uint64_t answer();

 private:
  ZapHandler(ZmqSocket socket, const CurveAllowList& allow_list)
      : socket_(std::move(socket)), allow_list_(&allow_list) {}

  ZmqSocket socket_;
  const CurveAllowList* allow_list_;
};

}  // namespace lockstep
