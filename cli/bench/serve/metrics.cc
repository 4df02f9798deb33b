#include "cli/bench/serve/metrics.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>

#include "base/check.h"
#include "cli/options.h"

namespace lockstep {
namespace {

constexpr std::size_t kMaxSeconds = 7 * 24 * 3600;  // Of a run whose single seconds are counted.

double mean_of(const std::vector<double>& values) {
  if (values.empty()) return 0;
  return std::accumulate(values.begin(), values.end(), 0.0) / static_cast<double>(values.size());
}

Distribution distribution_ms(std::vector<double> seconds, const std::vector<double>& percentiles) {
  std::ranges::sort(seconds);
  Distribution d;
  const double mean = mean_of(seconds);
  d.mean = mean * 1000;
  std::vector<double> squares;
  for (const double s : seconds) squares.push_back((s - mean) * (s - mean));
  d.deviation = std::sqrt(mean_of(squares)) * 1000;
  if (!seconds.empty()) {
    const std::size_t half = seconds.size() / 2;
    d.median = seconds.size() % 2 == 1 ? seconds[half] : (seconds[half - 1] + seconds[half]) / 2;
    d.median *= 1000;
  }
  for (const double p : percentiles) {
    d.percentiles.emplace_back(p, percentile_of(seconds, p) * 1000);
  }
  return d;
}

double time_per_token(const MeasuredRequest& request) {
  if (request.completion_tokens < 2) return 0;
  return (request.answer.latency_s - request.answer.first_token_s) /
         static_cast<double>(request.completion_tokens - 1);
}

bool meets(const MeasuredRequest& request, const Goodput& goodput) {
  const auto within = [](double seconds, const std::optional<double>& limit_ms) {
    return !limit_ms || seconds <= *limit_ms / 1000;
  };
  return within(request.answer.first_token_s, goodput.ttft_ms) &&
         within(time_per_token(request), goodput.tpot_ms) &&
         within(request.answer.latency_s, goodput.e2el_ms);
}

// Counts what happened in each second since the first request.
void count_peaks(const std::vector<MeasuredRequest>& requests, ServeMetrics& metrics) {
  double start_s = std::numeric_limits<double>::infinity();
  double end_s = 0;
  for (const MeasuredRequest& request : requests) {
    if (!request.answer.completed) continue;
    start_s = std::min(start_s, request.answer.start_s);
    end_s = std::max(end_s, request.answer.start_s + request.answer.latency_s);
  }
  if (metrics.completed == 0) return;
  const auto num_seconds = static_cast<std::size_t>(std::ceil(end_s - start_s)) + 1;
  if (num_seconds > kMaxSeconds) return;
  std::vector<std::int64_t> pieces(num_seconds, 0);
  std::vector<std::int64_t> active(num_seconds, 0);
  const auto second_of = [&](double time_s) {
    const auto second = static_cast<std::size_t>(std::max(time_s - start_s, 0.0));
    return std::min(second, num_seconds - 1);
  };
  for (const MeasuredRequest& request : requests) {
    const Answer& answer = request.answer;
    if (!answer.completed) continue;
    double time_s = answer.start_s + answer.first_token_s;
    ++pieces[second_of(time_s)];
    for (const double gap_s : answer.gap_s) ++pieces[second_of(time_s += gap_s)];
    const std::size_t last = second_of(answer.start_s + answer.latency_s);
    for (std::size_t s = second_of(answer.start_s); s <= last; ++s) ++active[s];
  }
  metrics.peak_output_throughput = static_cast<double>(std::ranges::max(pieces));
  metrics.peak_requests = std::ranges::max(active);
}

}  // namespace

double percentile_of(const std::vector<double>& sorted, double percentile) {
  CHECK(percentile >= 0 && percentile <= 100, "a percentile lies between 0 and 100");
  if (sorted.empty()) return 0;
  const double at = static_cast<double>(sorted.size() - 1) * (percentile / 100);
  const auto low = static_cast<std::size_t>(at);
  const double a = sorted[low];
  const double b = sorted[std::min(low + 1, sorted.size() - 1)];
  const double part = at - std::floor(at);
  // From the nearer end, so that both ends are exact.
  return part < 0.5 ? a + (b - a) * part : b - (b - a) * (1 - part);
}

Result<Goodput> parse_goodput(const std::vector<std::string>& pairs) {
  Goodput goodput;
  for (const std::string& pair : pairs) {
    const std::size_t colon = pair.find(':');
    const std::string name = pair.substr(0, colon);
    std::optional<double>* limit = name == "ttft"   ? &goodput.ttft_ms
                                   : name == "tpot" ? &goodput.tpot_ms
                                   : name == "e2el" ? &goodput.e2el_ms
                                                    : nullptr;
    if (limit == nullptr || colon == std::string::npos) {
      return Error{ErrorCode::kInvalidArgument,
                   "expected ttft:MS, tpot:MS or e2el:MS, got \"" + pair + "\""};
    }
    if (*limit) {
      return Error{ErrorCode::kInvalidArgument, name + " is given twice"};
    }
    LOCKSTEP_TRY_ASSIGN(
        *limit,
        parse_number<double>(pair.substr(colon + 1), {0, std::numeric_limits<double>::max()}),
        name);
  }
  return goodput;
}

ServeMetrics measure(const std::vector<MeasuredRequest>& requests, double duration_s,
                     const MetricsOptions& options) {
  ServeMetrics metrics;
  std::vector<double> ttft;
  std::vector<double> tpot;
  std::vector<double> itl;
  std::vector<double> e2el;
  std::int64_t good = 0;
  for (const MeasuredRequest& request : requests) {
    const Answer& answer = request.answer;
    if (!answer.completed) {
      ++metrics.failed;
      continue;
    }
    ++metrics.completed;
    metrics.prompt_tokens += request.prompt_tokens;
    metrics.completion_tokens += request.completion_tokens;
    ttft.push_back(answer.first_token_s);
    if (request.completion_tokens > 1) tpot.push_back(time_per_token(request));
    itl.insert(itl.end(), answer.gap_s.begin(), answer.gap_s.end());
    e2el.push_back(answer.latency_s);
    if (!options.goodput.empty() && meets(request, options.goodput)) ++good;
  }
  metrics.duration_s = duration_s;
  const auto per_second = [&](std::int64_t count) {
    return duration_s > 0 ? static_cast<double>(count) / duration_s : 0;
  };
  metrics.request_throughput = per_second(metrics.completed);
  metrics.request_goodput = per_second(good);
  metrics.output_throughput = per_second(metrics.completion_tokens);
  metrics.total_token_throughput = per_second(metrics.prompt_tokens + metrics.completion_tokens);
  metrics.ttft = distribution_ms(std::move(ttft), options.percentiles);
  metrics.tpot = distribution_ms(std::move(tpot), options.percentiles);
  metrics.itl = distribution_ms(std::move(itl), options.percentiles);
  metrics.e2el = distribution_ms(std::move(e2el), options.percentiles);
  count_peaks(requests, metrics);
  return metrics;
}

}  // namespace lockstep
