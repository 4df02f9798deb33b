// An HTTP/1.1 server over TCP or TLS: a few threads, bounded connections, one service.
#pragma once

#include <cstdint>
#include <memory>

#include "scheduler/gateway/http/server_options.h"
#include "scheduler/gateway/http/service.h"

namespace lockstep {

class ApiServer {
 public:
  // Listens and serves. kInvalidArgument for options that would give the service away
  // (check_access_options) or TLS files that do not fit; kUnavailable when the address is taken.
  static Result<std::unique_ptr<ApiServer>> start(const HttpServerOptions& options,
                                                  std::shared_ptr<HttpService> service,
                                                  std::shared_ptr<HttpCounters> counters);
  // stop(), and no grace.
  ~ApiServer();

  std::uint16_t port() const;

  // Reads the TLS files again, for new connections; on an error the old ones stay. For SIGHUP.
  Status reload_tls();

  // Takes no new connections and requests; responses on their way go on for at most `grace`.
  // Blocks until all connections are closed.
  void stop(std::chrono::milliseconds grace);

 private:
  struct State;
  explicit ApiServer(std::unique_ptr<State> state);
  std::unique_ptr<State> state_;
};

}  // namespace lockstep
