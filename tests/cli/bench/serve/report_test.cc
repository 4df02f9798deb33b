#include "cli/bench/serve/report.h"

#include <gtest/gtest.h>

#include <limits>

namespace lockstep {
namespace {

RunDescription small_run() {
  RunDescription run;
  run.date = "20261121-060000";
  run.backend = "openai";
  run.model = "org/model";
  run.num_prompts = 2;
  run.metadata = {{"version", "1"}};
  run.request_rate = 4;
  run.max_concurrency = 32;
  run.metric_names = {"ttft"};
  return run;
}

ServeMetrics small_metrics() {
  ServeMetrics metrics;
  metrics.completed = 2;
  metrics.duration_s = 1.5;
  metrics.prompt_tokens = 20;
  metrics.completion_tokens = 30;
  metrics.output_throughput = 20;
  metrics.peak_requests = 2;
  metrics.ttft = {
      .mean = 12.345, .median = 12, .deviation = 1, .percentiles = {{99, 20}, {99.9, 21}}};
  return metrics;
}

TEST(ServeTable, LooksLikeVllms) {
  EXPECT_EQ(serve_table(small_run(), small_metrics()),
            "============ Serving Benchmark Result ============\n"
            "Successful requests:                     2         \n"
            "Failed requests:                         0         \n"
            "Maximum request concurrency:             32        \n"
            "Request rate configured (RPS):           4.00      \n"
            "Benchmark duration (s):                  1.50      \n"
            "Total input tokens:                      20        \n"
            "Total generated tokens:                  30        \n"
            "Request throughput (req/s):              0.00      \n"
            "Output token throughput (tok/s):         20.00     \n"
            "Peak output token throughput (tok/s):    0.00      \n"
            "Peak concurrent requests:                2.00      \n"
            "Total token throughput (tok/s):          0.00      \n"
            "---------------Time to First Token----------------\n"
            "Mean TTFT (ms):                          12.35     \n"
            "Median TTFT (ms):                        12.00     \n"
            "P99 TTFT (ms):                           20.00     \n"
            "P99.9 TTFT (ms):                         21.00     \n"
            "==================================================\n");
}

TEST(ServeJson, HoldsWhatWasAskedAndMeasured) {
  const OrderedJson json = serve_json(small_run(), small_metrics(), {}, /*detailed=*/false);
  EXPECT_EQ(json["model_id"], "org/model");
  EXPECT_TRUE(json["label"].is_null());
  EXPECT_TRUE(json["request_goodput"].is_null());
  EXPECT_EQ(json["version"], "1");
  EXPECT_EQ(json["request_rate"], 4.0);
  EXPECT_EQ(json["mean_ttft_ms"], 12.345);
  EXPECT_EQ(json["p99_ttft_ms"], 20);
  EXPECT_EQ(json["p99.9_ttft_ms"], 21);
  EXPECT_FALSE(json.contains("mean_tpot_ms"));
  EXPECT_FALSE(json.contains("ttfts"));
}

TEST(ServeJson, RepeatsEveryRequestWhereAsked) {
  MeasuredRequest request;
  request.answer.completed = true;
  request.answer.gap_s = {0.5};
  request.answer.text = "a";
  request.completion_tokens = 2;
  MeasuredRequest failed;
  failed.answer.error = "HTTP 500: no";
  failed.completion_tokens = 1;
  const OrderedJson json =
      serve_json(small_run(), small_metrics(), {request, failed}, /*detailed=*/true);
  EXPECT_EQ(json["output_lens"], (std::vector<int>{2, 0}));
  EXPECT_EQ(json["itls"][0], (std::vector<double>{0.5}));
  EXPECT_EQ(json["generated_texts"][0], "a");
  EXPECT_EQ(json["errors"][1], "HTTP 500: no");
}

TEST(ServeJson, WritesAnInfiniteRateAsText) {
  RunDescription run = small_run();
  run.request_rate = std::numeric_limits<double>::infinity();
  EXPECT_EQ(serve_json(run, {}, {}, false)["request_rate"], "inf");
}

TEST(ResultFileName, IsVllms) {
  RunDescription run = small_run();
  EXPECT_EQ(result_file_name(run), "openai-4.0qps-concurrency32-model-20261121-060000.json");
  run.request_rate = std::numeric_limits<double>::infinity();
  run.max_concurrency.reset();
  run.label = "mine";
  EXPECT_EQ(result_file_name(run), "mine-infqps-model-20261121-060000.json");
}

}  // namespace
}  // namespace lockstep
