#include "cli/bench/serve/report.h"

#include <algorithm>
#include <cmath>
#include <cstdio>

namespace lockstep {
namespace {

constexpr int kColumns = 50;

struct NamedDistribution {
  const char* name;  // In keys.
  const char* shown;
  const char* heading;
  const Distribution* values;
};

// In vLLM's order, those that were asked for.
std::vector<NamedDistribution> chosen(const RunDescription& run, const ServeMetrics& metrics) {
  const NamedDistribution all[] = {
      {"ttft", "TTFT", "Time to First Token", &metrics.ttft},
      {"tpot", "TPOT", "Time per Output Token (excl. 1st token)", &metrics.tpot},
      {"itl", "ITL", "Inter-token Latency", &metrics.itl},
      {"e2el", "E2EL", "End-to-end Latency", &metrics.e2el}};
  std::vector<NamedDistribution> some;
  for (const NamedDistribution& one : all) {
    if (std::ranges::find(run.metric_names, one.name) != run.metric_names.end()) {
      some.push_back(one);
    }
  }
  return some;
}

// "99", "99.9".
std::string percentile_text(double percentile) {
  char text[32];
  (void)std::snprintf(text, sizeof text, "%.10g", percentile);
  return text;
}

std::string centered(const std::string& text, char fill) {
  const auto missing =
      static_cast<std::size_t>(std::max(kColumns - static_cast<int>(text.size()), 0));
  return std::string(missing / 2, fill) + text + std::string(missing - missing / 2, fill) + "\n";
}

std::string line(const std::string& name, const std::string& value) {
  char text[128];
  (void)std::snprintf(text, sizeof text, "%-40s %-10s\n", name.c_str(), value.c_str());
  return text;
}

std::string line(const std::string& name, std::int64_t value) {
  return line(name, std::to_string(value));
}

std::string line(const std::string& name, double value) {
  char text[64];
  (void)std::snprintf(text, sizeof text, "%.2f", value);
  return line(name, std::string(text));
}

// As Python writes a float: 4.0, inf.
std::string rate_text(double rate) { return std::isinf(rate) ? "inf" : OrderedJson(rate).dump(); }

OrderedJson number_or_inf(double value) {
  return std::isinf(value) ? OrderedJson("inf") : OrderedJson(value);
}

template <typename T>
OrderedJson or_null(const std::optional<T>& value) {
  return value ? OrderedJson(*value) : OrderedJson();
}

void add_details(OrderedJson& json, const std::vector<MeasuredRequest>& requests) {
  for (const char* key :
       {"input_lens", "output_lens", "ttfts", "itls", "start_times", "generated_texts", "errors"}) {
    json[key] = OrderedJson::array();
  }
  for (const MeasuredRequest& request : requests) {
    const Answer& answer = request.answer;
    json["input_lens"].push_back(request.prompt_tokens);
    json["output_lens"].push_back(answer.completed ? request.completion_tokens : 0);
    json["ttfts"].push_back(answer.first_token_s);
    json["itls"].push_back(answer.gap_s);
    json["start_times"].push_back(answer.start_s);
    json["generated_texts"].push_back(answer.text);
    json["errors"].push_back(answer.error);
  }
}

}  // namespace

std::string serve_table(const RunDescription& run, const ServeMetrics& metrics) {
  std::string text = centered(" Serving Benchmark Result ", '=');
  text += line("Successful requests:", metrics.completed);
  text += line("Failed requests:", metrics.failed);
  if (run.max_concurrency) {
    text += line("Maximum request concurrency:", std::int64_t{*run.max_concurrency});
  }
  if (!std::isinf(run.request_rate)) {
    text += line("Request rate configured (RPS):", run.request_rate);
  }
  text += line("Benchmark duration (s):", metrics.duration_s);
  text += line("Total input tokens:", metrics.prompt_tokens);
  text += line("Total generated tokens:", metrics.completion_tokens);
  text += line("Request throughput (req/s):", metrics.request_throughput);
  if (run.goodput) text += line("Request goodput (req/s):", metrics.request_goodput);
  text += line("Output token throughput (tok/s):", metrics.output_throughput);
  text += line("Peak output token throughput (tok/s):", metrics.peak_output_throughput);
  text += line("Peak concurrent requests:", static_cast<double>(metrics.peak_requests));
  text += line("Total token throughput (tok/s):", metrics.total_token_throughput);
  for (const NamedDistribution& one : chosen(run, metrics)) {
    const std::string unit = std::string(one.shown) + " (ms):";
    text += centered(one.heading, '-');
    text += line("Mean " + unit, one.values->mean);
    text += line("Median " + unit, one.values->median);
    for (const auto& [percentile, value] : one.values->percentiles) {
      text += line("P" + percentile_text(percentile) + " " + unit, value);
    }
  }
  return text + std::string(kColumns, '=') + "\n";
}

OrderedJson serve_json(const RunDescription& run, const ServeMetrics& metrics,
                       const std::vector<MeasuredRequest>& requests, bool detailed) {
  OrderedJson json;
  json["date"] = run.date;
  json["endpoint_type"] = run.backend;
  json["backend"] = run.backend;
  json["label"] = or_null(run.label);
  json["model_id"] = run.model;
  json["tokenizer_id"] = or_null(run.tokenizer);
  json["num_prompts"] = run.num_prompts;
  for (const auto& [key, value] : run.metadata) json[key] = value;
  json["request_rate"] = number_or_inf(run.request_rate);
  json["burstiness"] = number_or_inf(run.burstiness);
  json["max_concurrency"] = or_null(run.max_concurrency);
  json["duration"] = metrics.duration_s;
  json["completed"] = metrics.completed;
  json["failed"] = metrics.failed;
  json["total_input_tokens"] = metrics.prompt_tokens;
  json["total_output_tokens"] = metrics.completion_tokens;
  json["request_throughput"] = metrics.request_throughput;
  json["request_goodput"] = run.goodput ? OrderedJson(metrics.request_goodput) : OrderedJson();
  json["output_throughput"] = metrics.output_throughput;
  json["total_token_throughput"] = metrics.total_token_throughput;
  if (detailed) add_details(json, requests);
  json["max_output_tokens_per_s"] = metrics.peak_output_throughput;
  json["max_concurrent_requests"] = metrics.peak_requests;
  json["rtfx"] = 0.0;
  for (const NamedDistribution& one : chosen(run, metrics)) {
    const std::string suffix = std::string("_") + one.name + "_ms";
    json["mean" + suffix] = one.values->mean;
    json["median" + suffix] = one.values->median;
    json["std" + suffix] = one.values->deviation;
    for (const auto& [percentile, value] : one.values->percentiles) {
      json["p" + percentile_text(percentile) + suffix] = value;
    }
  }
  return json;
}

std::string result_file_name(const RunDescription& run) {
  const std::string model = run.model.substr(run.model.rfind('/') + 1);
  const std::string concurrency =
      run.max_concurrency ? "-concurrency" + std::to_string(*run.max_concurrency) : "";
  return run.label.value_or(run.backend) + "-" + rate_text(run.request_rate) + "qps" + concurrency +
         "-" + model + "-" + run.date + ".json";
}

}  // namespace lockstep
