// What a server serves: the seam between connections and the API. Calls come from any I/O thread,
// for one exchange one at a time, and do not block.
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string_view>
#include <variant>

#include "scheduler/gateway/http/response.h"

namespace lockstep {

// May be called from any thread, once; a call after the client has left does nothing.
using Respond = std::function<void(Response)>;

// A request whose head was accepted. Its connection owns it until the response is written or the
// client has left: its end is the client's end.
class Exchange {
 public:
  virtual ~Exchange() = default;
  virtual std::uint64_t max_body_bytes() const = 0;
  // A piece of the body. An error is the answer, and ends the connection.
  virtual std::optional<ApiError> take(std::string_view piece) = 0;
  // The body is complete.
  virtual void finish(Respond respond) = 0;
};

class HttpService {
 public:
  virtual ~HttpService() = default;
  // Looks at the head alone: whether the body is worth reading. A Response is the answer.
  virtual std::variant<Response, std::unique_ptr<Exchange>> begin(const RequestHead& head) = 0;
};

// What the server counts of itself. Thread-safe.
struct HttpCounters {
  std::atomic<std::uint64_t> body_bytes{0};   // Of bodies in memory now.
  std::atomic<std::uint64_t> connections{0};  // Open now.
  std::atomic<std::uint64_t> requests{0};
  std::atomic<std::uint64_t> refused{0};  // Answered with a status of 400 or more.
};

}  // namespace lockstep
