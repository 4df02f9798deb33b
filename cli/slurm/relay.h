// Connections to a port of this machine, carried on to a gateway inside a job, by TLS where the
// gateway speaks it. Bytes pass as they are. Boost.Asio is seen by relay.cc alone.
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>

#include "base/result.h"

namespace lockstep {

struct RelayTarget {
  std::string host;  // An IP address.
  std::uint16_t port = 0;
  std::string certificate;  // PEM: the peer shows exactly this one. Empty: no TLS.
};

// "https://10.0.0.1:31000" into host and port. kCorrupt for anything else.
Result<RelayTarget> parse_target(const std::string& url, std::string certificate);

class Relay {
 public:
  // Where a new connection goes; asked anew for each, so that a successor is found.
  using Find = std::function<Result<RelayTarget>()>;

  // Listens at 127.0.0.1. kUnavailable when the port is taken; 0: any free one.
  static Result<std::unique_ptr<Relay>> start(std::uint16_t port, Find find);
  ~Relay();
  Relay(const Relay&) = delete;
  Relay& operator=(const Relay&) = delete;

  std::uint16_t port() const;
  // Serves on this thread until `leave` is set, which is looked at every 100 ms.
  void run(const std::atomic<bool>& leave);

 private:
  struct State;
  explicit Relay(std::unique_ptr<State> state);
  std::unique_ptr<State> state_;
};

}  // namespace lockstep
