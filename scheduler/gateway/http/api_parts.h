// What the routes of the API share.
#pragma once

#include <memory>

#include "base/clock.h"
#include "base/random.h"
#include "scheduler/gateway/api/latency_histogram.h"
#include "scheduler/gateway/api/model_text.h"
#include "scheduler/gateway/api_backend.h"
#include "scheduler/gateway/batch_backend.h"
#include "scheduler/gateway/http/access.h"
#include "scheduler/gateway/http/service.h"

namespace lockstep {

inline constexpr std::uint64_t kMaxBodyBytes = 8 << 20;

// The pointers outlive the service.
struct ApiParts {
  std::shared_ptr<const ModelText> model;
  ApiBackend* backend = nullptr;
  FileBackend* files = nullptr;     // Null: the routes of files and batches are not there.
  BatchBackend* batches = nullptr;  // As files.
  const Clock* clock = nullptr;
  Random* random = nullptr;  // Thread-safe.
  std::shared_ptr<HttpCounters> counters;
  std::unique_ptr<Access> access;
  ClientLatencies latencies;
};

// One request on its way through a route.
struct RouteCall {
  std::shared_ptr<ApiParts> parts;
  RequestHead head;
  Principal principal;
  std::string parameter;  // Of the path.

  std::int64_t unix_ms() const { return head.id.unix_ms(); }
};

// A client's connection to a job, as long as this lives.
class Watch {
 public:
  Watch(ApiBackend* backend, RequestId id) : backend_(backend), id_(id) { backend_->watch(id_, 1); }
  ~Watch() { backend_->watch(id_, -1); }
  Watch(const Watch&) = delete;
  Watch& operator=(const Watch&) = delete;

 private:
  ApiBackend* backend_;
  RequestId id_;
};

// A response whose making takes a while, made on the connection's thread.
Response defer(std::function<Response()> make);

inline Response json_response(std::string body) {
  Response response;
  response.body = std::move(body);
  return response;
}

}  // namespace lockstep
