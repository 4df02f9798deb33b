// What a service answers: a status, fields, and a body that is there or still grows.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "scheduler/gateway/api/api_error.h"
#include "scheduler/gateway/http/request_head.h"

namespace lockstep {

// A body that comes in pieces. Its connection asks for one, writes it, then asks for the next, so
// that a slow client holds one piece and no more.
class BodyStream {
 public:
  virtual ~BodyStream() = default;

  struct Piece {
    std::string text;     // At most about kPieceBytes.
    bool ended = false;   // Nothing comes behind `text`.
    bool failed = false;  // The rest cannot be had: the connection is cut, so that it shows.
  };
  static constexpr std::size_t kPieceBytes = 64 << 10;
  // An empty piece that has not ended: nothing yet. Does not block.
  virtual Piece next() = 0;

  // Calls `wake` once, from any thread, when next() has more to say; at once if it has. `wake` does
  // not block.
  virtual void wait(std::function<void()> wake) = 0;

  // What to write when nothing comes for a while, so that nobody in between gives the connection
  // up; empty: nothing.
  virtual std::string heartbeat() const = 0;
};

class LaterResponse;

struct Response {
  int status = 200;
  std::string content_type = "application/json";
  std::vector<HeaderField> fields;
  std::string body;
  std::unique_ptr<BodyStream> stream;    // Set: instead of `body`.
  std::unique_ptr<LaterResponse> later;  // Set: instead of everything.
};

// A response that its connection asks for on its own thread, when it may be there.
class LaterResponse {
 public:
  virtual ~LaterResponse() = default;
  // Nothing yet, or the response, which is not another one for later. Does not block.
  virtual std::optional<Response> poll() = 0;
  // As BodyStream::wait.
  virtual void wait(std::function<void()> wake) = 0;
};

// As OpenAI's error body, with Retry-After where the error says so.
Response error_response(const ApiError& error);

// How the bytes of a response are framed.
struct ResponseFrame {
  RequestId id;      // "x-request-id", unless the response has one.
  int version = 11;  // Of the request.
  bool keep_alive = false;
  bool head_only = false;  // The answer to HEAD.
};
// Status line and fields, the empty line, and the body unless it is a stream.
std::string encode_response(const Response& response, const ResponseFrame& frame);

// A chunk of a stream; `last` ends it.
std::string encode_chunk(std::string_view text, bool last);

}  // namespace lockstep
