// One HTTP or HTTPS server that is sent one request at a time; blocks for at most the time given.
// Not thread-safe.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "base/result.h"

namespace lockstep {

struct HttpUrl {
  bool tls = false;
  std::string host;
  std::string port;
  std::string target;  // Path and query.

  // "https://host:port", for logs: a target may hold a provider's key.
  std::string place() const;
};

// kInvalidArgument: anything but http:// or https://, a host, an optional port and path.
Result<HttpUrl> parse_http_url(std::string_view text);

struct HttpAnswer {
  int status = 0;
  std::optional<std::int64_t> retry_after_ms;  // From Retry-After, in seconds; at most an hour.
  std::string body;
};

struct HttpLimits {
  int timeout_ms = 10'000;  // Of a whole exchange, connecting too.
  std::size_t max_body_bytes = 4 << 20;
};

class HttpClient {
 public:
  // `authorities`: a PEM file of certificates to trust in place of the system's; "": those.
  static Result<std::unique_ptr<HttpClient>> make(const HttpUrl& url,
                                                  const std::string& authorities);
  ~HttpClient();
  HttpClient(const HttpClient&) = delete;
  HttpClient& operator=(const HttpClient&) = delete;

  // Sends JSON. The connection is kept; one that the server closed in the meantime is made anew,
  // once. kTimeout; kExhausted: the answer is longer than the limit; kUnavailable for the rest.
  Result<HttpAnswer> post(std::string_view json, const HttpLimits& limits);

  const HttpUrl& url() const;

 private:
  class Exchange;
  struct State;
  explicit HttpClient(std::unique_ptr<State> state);

  std::unique_ptr<State> state_;
};

}  // namespace lockstep
