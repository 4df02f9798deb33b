// Sends the requests of a load to an HTTP server, each at its time, and reads the streams that come
// back. One thread, any number of connections, which are used again.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <utility>
#include <vector>

#include "base/clock.h"
#include "base/result.h"
#include "cli/bench/serve/answer.h"
#include "cli/bench/serve/endpoint.h"

namespace lockstep {

struct HttpServer {
  Endpoint endpoint;
  bool verify_certificate = true;  // Of https.
  // Sent with every request.
  std::vector<std::pair<std::string, std::string>> headers;
};

struct LoadPlan {
  std::vector<double> arrivals_s;                  // When each request may be sent; rising.
  std::size_t max_concurrency = 0;                 // Requests on their way at once; 0: no limit.
  std::function<std::string(std::size_t i)> body;  // JSON.
  std::string request_id_prefix;                   // x-request-id is this and the index.
  std::function<void(std::size_t done)> on_progress = {};  // After every answer.
};

struct LoadResult {
  std::vector<Answer> answers;  // One each, in the order of the plan.
  double duration_s = 0;        // From the first moment to the last answer.
};

// Posts every body to the endpoint and waits for all answers; a request that fails is an answer
// that says why, and is not sent again. kUnavailable: the host has no address. kAborted:
// interrupted.
Result<LoadResult> run_load(const HttpServer& server, const LoadPlan& plan, const Clock& clock);

// The body of a GET on the same server, at most 1 MiB. kUnavailable when there is no answer or
// another status than 200.
Result<std::string> http_get(const HttpServer& server, const std::string& path);

}  // namespace lockstep
