// From the times of single answers to what a benchmark reports; the definitions are those of
// `vllm bench serve`.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "base/result.h"
#include "cli/bench/serve/answer.h"

namespace lockstep {

// Service level objectives of a request; one that is not given is always met.
struct Goodput {
  std::optional<double> ttft_ms;
  std::optional<double> tpot_ms;
  std::optional<double> e2el_ms;

  bool empty() const { return !ttft_ms && !tpot_ms && !e2el_ms; }
};

// From "ttft:200", "tpot:50", "e2el:3000"; each name once.
Result<Goodput> parse_goodput(const std::vector<std::string>& pairs);

struct MeasuredRequest {
  Answer answer;
  std::int64_t prompt_tokens = 0;
  std::int64_t completion_tokens = 0;
};

// Milliseconds.
struct Distribution {
  double mean = 0;
  double median = 0;
  double deviation = 0;                                // Divided by n, as numpy's std.
  std::vector<std::pair<double, double>> percentiles;  // (percentile, value)
};

struct ServeMetrics {
  std::int64_t completed = 0;
  std::int64_t failed = 0;
  std::int64_t prompt_tokens = 0;  // Of the requests that completed, like all that follows.
  std::int64_t completion_tokens = 0;
  double duration_s = 0;
  double request_throughput = 0;  // Per second of the whole run.
  double request_goodput = 0;
  double output_throughput = 0;
  double total_token_throughput = 0;
  double peak_output_throughput = 0;  // Pieces that came in the fullest second.
  std::int64_t peak_requests = 0;     // Requests that were on their way in one second, at most.
  Distribution ttft;                  // Time to first token.
  Distribution tpot;                  // (latency - ttft) / (tokens - 1), where there are two.
  Distribution itl;                   // Between two pieces, over all requests.
  Distribution e2el;                  // Until the last piece.
};

struct MetricsOptions {
  std::vector<double> percentiles = {99};
  Goodput goodput;
};

ServeMetrics measure(const std::vector<MeasuredRequest>& requests, double duration_s,
                     const MetricsOptions& options);

// As numpy.percentile's default: linear between the two nearest. 0 for no values.
// Requires: `sorted` rises, 0 <= percentile <= 100.
double percentile_of(const std::vector<double>& sorted, double percentile);

}  // namespace lockstep
