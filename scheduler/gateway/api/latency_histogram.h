// Counts of durations in fixed buckets, as OpenMetrics wants them. Thread-safe.
#pragma once

#include <array>
#include <atomic>
#include <cstdint>
#include <string>
#include <string_view>

namespace lockstep {

class LatencyHistogram {
 public:
  void add(std::int64_t duration_ns);
  // Appends the samples `name_bucket`, `name_count`, `name_sum` with `labels` ("a=\"b\"").
  void append_samples(std::string_view name, std::string_view labels, std::string& out) const;
  std::uint64_t count() const;
  // Upper bound of the bucket in which the quantile lies, in seconds; 0 without a sample.
  double quantile(double q) const;

 private:
  // Seconds; from a token of a small model to an answer of a slow one.
  static constexpr std::array kBounds = {0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1,   0.25, 0.5,
                                         1.0,   2.5,    5.0,   10.0, 30.0,  60.0, 120.0, 300.0};
  std::array<std::atomic<std::uint64_t>, kBounds.size() + 1> counts_{};
  std::atomic<std::int64_t> sum_ns_{0};
};

// What the gateway's clients experience.
struct ClientLatencies {
  LatencyHistogram time_to_first_token;
  LatencyHistogram inter_token;
  LatencyHistogram request;
};

}  // namespace lockstep
