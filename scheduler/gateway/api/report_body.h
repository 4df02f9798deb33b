// The gateway's report as OpenMetrics text and as JSON for the dashboard. Pure.
#pragma once

#include <string>

#include "scheduler/gateway/api/latency_histogram.h"
#include "scheduler/gateway/api_backend.h"

namespace lockstep {

// What the HTTP server counts of itself.
struct HttpCounts {
  std::uint64_t connections = 0;  // Open now.
  std::uint64_t requests = 0;
  std::uint64_t refused = 0;  // Answered with a status of 400 or more.
};

// vLLM's names (`vllm:...`), so that its dashboards work, and the same as `lockstep_...`.
std::string metrics_body(const GatewayReport& report, const ClientLatencies& latencies,
                         const HttpCounts& http);

std::string status_body(const GatewayReport& report, const ClientLatencies& latencies,
                        std::int64_t unix_ms);

}  // namespace lockstep
