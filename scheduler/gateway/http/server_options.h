// How a server listens, and how long it waits for whom.
#pragma once

#include <chrono>
#include <string>

#include "scheduler/gateway/http/access.h"

namespace lockstep {

struct HttpTimeouts {
  std::chrono::milliseconds head{5'000};   // From the first byte of a request to its empty line.
  std::chrono::milliseconds idle{75'000};  // Between two requests of a connection.
  std::chrono::milliseconds body_gap{20'000};   // Between two reads of a body.
  std::chrono::milliseconds body{30'000};       // A whole body, and the time its bytes may take.
  std::chrono::milliseconds write{60'000};      // One piece of a response.
  std::chrono::milliseconds heartbeat{15'000};  // Between two pieces of a stream.
  std::chrono::milliseconds linger{1'000};      // For what a refused client still sends.
};

struct HttpServerOptions {
  ListenAddress listen;
  AccessOptions access;
  std::string tls_certificate;  // PEM files; empty: plain HTTP.
  std::string tls_key;
  int num_threads = 2;
  std::size_t max_connections = 4096;  // Beyond it: 503.
  HttpTimeouts timeouts;
};

}  // namespace lockstep
