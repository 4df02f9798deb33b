#include "cli/bench/serve/metrics.h"

#include <gtest/gtest.h>

#include <algorithm>

namespace lockstep {
namespace {

MeasuredRequest answered(double start_s, double first_token_s, std::vector<double> gap_s,
                         std::int64_t tokens) {
  MeasuredRequest request;
  request.answer.completed = true;
  request.answer.start_s = start_s;
  request.answer.first_token_s = first_token_s;
  request.answer.latency_s = first_token_s;
  for (const double gap : gap_s) request.answer.latency_s += gap;
  request.answer.gap_s = std::move(gap_s);
  request.prompt_tokens = 10;
  request.completion_tokens = tokens;
  return request;
}

MeasuredRequest refused() {
  MeasuredRequest request;
  request.answer.error = "HTTP 429: slow down";
  request.prompt_tokens = 10;
  request.completion_tokens = 1;
  return request;
}

TEST(PercentileOf, EqualsNumpys) {
  std::vector<double> values = {0.0123, 0.5, 0.0071, 0.25, 0.0305, 1.75, 0.0042};
  std::ranges::sort(values);
  // numpy.percentile(values, p), NumPy 2.4.
  EXPECT_EQ(percentile_of(values, 0), 0.0042);
  EXPECT_EQ(percentile_of(values, 1), 0.004373999999999999);
  EXPECT_EQ(percentile_of(values, 25), 0.0097);
  EXPECT_EQ(percentile_of(values, 50), 0.0305);
  EXPECT_EQ(percentile_of(values, 75), 0.375);
  EXPECT_EQ(percentile_of(values, 90), 1.0000000000000004);
  EXPECT_EQ(percentile_of(values, 99), 1.6749999999999994);
  EXPECT_EQ(percentile_of(values, 99.9), 1.7425000000000008);
  EXPECT_EQ(percentile_of(values, 100), 1.75);
  EXPECT_EQ(percentile_of({0.1, 0.2, 0.3, 0.7}, 99), 0.6879999999999998);
}

TEST(PercentileOf, IsTheOnlyValueOrZero) {
  EXPECT_EQ(percentile_of({3.5}, 99), 3.5);
  EXPECT_EQ(percentile_of({}, 99), 0);
}

TEST(Measure, AddsUpAHandMadeRun) {
  const std::vector<MeasuredRequest> requests = {
      answered(100, 0.5, {0.25, 0.25}, 3),  // Ends at 101.
      answered(100.5, 1.0, {1.0}, 2),       // Ends at 102.5.
      refused()};
  const ServeMetrics metrics = measure(requests, 4.0, {.percentiles = {50, 100}, .goodput = {}});
  EXPECT_EQ(metrics.completed, 2);
  EXPECT_EQ(metrics.failed, 1);
  EXPECT_EQ(metrics.prompt_tokens, 20);
  EXPECT_EQ(metrics.completion_tokens, 5);
  EXPECT_EQ(metrics.request_throughput, 0.5);
  EXPECT_EQ(metrics.output_throughput, 1.25);
  EXPECT_EQ(metrics.total_token_throughput, 6.25);
  EXPECT_EQ(metrics.request_goodput, 0);
  EXPECT_EQ(metrics.ttft.mean, 750);
  EXPECT_EQ(metrics.ttft.median, 750);
  EXPECT_EQ(metrics.ttft.deviation, 250);
  EXPECT_EQ(metrics.tpot.mean, (250 + 1000) / 2.0);
  EXPECT_EQ(metrics.itl.mean, 500);
  EXPECT_EQ(metrics.itl.median, 250);
  EXPECT_EQ(metrics.e2el.mean, 1500);
  ASSERT_EQ(metrics.e2el.percentiles.size(), 2U);
  EXPECT_EQ(metrics.e2el.percentiles[1], (std::pair<double, double>(100, 2000)));
  // Pieces at 100.5, 100.75, 101 and 101.5, 102.5.
  EXPECT_EQ(metrics.peak_output_throughput, 2);
  EXPECT_EQ(metrics.peak_requests, 2);
}

TEST(Measure, GivesZerosWhenNothingCompleted) {
  const ServeMetrics metrics = measure({refused()}, 1.0, {});
  EXPECT_EQ(metrics.completed, 0);
  EXPECT_EQ(metrics.failed, 1);
  EXPECT_EQ(metrics.total_token_throughput, 0);
  EXPECT_EQ(metrics.ttft.mean, 0);
  EXPECT_EQ(metrics.ttft.percentiles, (std::vector<std::pair<double, double>>{{99, 0}}));
}

TEST(Measure, LeavesSingleTokensOutOfTheTimePerToken) {
  const ServeMetrics metrics = measure({answered(0, 1, {}, 1), answered(0, 1, {2}, 2)}, 3.0, {});
  EXPECT_EQ(metrics.tpot.mean, 2000);
}

TEST(Measure, CountsRequestsWithinAllLimits) {
  const std::vector<MeasuredRequest> requests = {
      answered(0, 0.2, {0.1}, 2), answered(0, 0.3, {0.1}, 2), answered(0, 0.2, {0.3}, 2),
      answered(0, 0.1, {}, 1)};
  Goodput goodput;
  goodput.ttft_ms = 200;
  EXPECT_EQ(measure(requests, 1.0, {.goodput = goodput}).request_goodput, 3);
  goodput.tpot_ms = 150;
  EXPECT_EQ(measure(requests, 1.0, {.goodput = goodput}).request_goodput, 2);
  goodput.e2el_ms = 100;
  EXPECT_EQ(measure(requests, 1.0, {.goodput = goodput}).request_goodput, 1);
}

TEST(ParseGoodput, TakesNamesWithMilliseconds) {
  const auto goodput = parse_goodput({"ttft:200", "e2el:1.5e3"});
  ASSERT_TRUE(goodput.ok());
  EXPECT_EQ(goodput.value().ttft_ms, 200);
  EXPECT_FALSE(goodput.value().tpot_ms.has_value());
  EXPECT_EQ(goodput.value().e2el_ms, 1500);
  EXPECT_TRUE(parse_goodput({}).value().empty());
}

TEST(ParseGoodput, SaysWhatItExpected) {
  EXPECT_EQ(parse_goodput({"itl:5"}).error().message,
            "expected ttft:MS, tpot:MS or e2el:MS, got \"itl:5\"");
  EXPECT_EQ(parse_goodput({"ttft"}).error().message,
            "expected ttft:MS, tpot:MS or e2el:MS, got \"ttft\"");
  EXPECT_EQ(parse_goodput({"ttft:1", "ttft:2"}).error().message, "ttft is given twice");
  for (const char* text : {"ttft:", "ttft:-1", "ttft:x", "ttft:inf", "ttft:1:2"}) {
    EXPECT_FALSE(parse_goodput({text}).ok()) << text;
  }
}

}  // namespace
}  // namespace lockstep
