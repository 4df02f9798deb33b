// Bytes of a connection to HTTP/1.x requests, one after the other. Boost.Beast parses; what it lets
// through and we do not (RFC 9112 leaves room that smugglers use) is refused here. Knows no socket.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include "scheduler/gateway/api/api_error.h"
#include "scheduler/gateway/http/request_head.h"

namespace lockstep {

inline constexpr std::size_t kMaxHeaderBytes = 16 << 10;  // Request line and fields.
inline constexpr std::size_t kMaxHeaderFields = 100;
inline constexpr std::size_t kMaxChunkHeaderBytes = 1 << 10;  // Size and extensions of a chunk.

class RequestReader {
 public:
  RequestReader();
  ~RequestReader();

  // Takes bytes as they come.
  void append(std::string_view bytes);

  enum class Progress {
    kNeedMore,
    kHead,   // head() is complete, once per request.
    kBody,   // take_body() has something.
    kDone,   // The request is complete; next() starts the one behind it.
    kFault,  // fault() says why; the connection is of no more use.
  };
  // Parses up to the next event. Requires: not after kDone or kFault.
  Progress advance();

  const RequestHead& head() const { return head_; }
  std::string take_body();
  const ApiError& fault() const { return fault_; }

  // Between kHead and the first advance() behind it: kFault follows when the body is longer. The
  // body has no limit before.
  void set_body_limit(std::uint64_t bytes);

  // Whether a byte of the current request has come.
  bool started() const { return started_ || !buffer_.empty(); }
  std::size_t num_buffered() const { return buffer_.size(); }
  void next();

 private:
  class Parser;

  Progress fail(int status, std::string message);
  Progress finish_head();
  bool check_fields();

  std::unique_ptr<Parser> parser_;
  std::string buffer_;
  RequestHead head_;
  std::string body_;
  ApiError fault_;
  std::uint64_t body_limit_ = UINT64_MAX;
  std::uint64_t body_bytes_ = 0;
  std::size_t head_bytes_ = 0;
  bool started_ = false;
  bool has_head_ = false;
};

}  // namespace lockstep
