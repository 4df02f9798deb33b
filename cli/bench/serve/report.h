// The result of `lockstep bench serve` in the words of `vllm bench serve`: its console table and
// the keys of its JSON.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "cli/bench/serve/metrics.h"
#include "cli/output.h"

namespace lockstep {

// What was asked for, as far as the result repeats it.
struct RunDescription {
  std::string date;  // "20261121-060000"
  std::string backend;
  std::optional<std::string> label;
  std::string model;
  std::optional<std::string> tokenizer;
  int num_prompts = 0;
  std::vector<std::pair<std::string, std::string>> metadata;
  double request_rate = 0;
  double burstiness = 1;
  std::optional<int> max_concurrency;
  bool goodput = false;                   // Whether limits were given.
  std::vector<std::string> metric_names;  // Of ttft, tpot, itl, e2el.
};

std::string serve_table(const RunDescription& run, const ServeMetrics& metrics);

// `requests` are repeated one by one where `detailed`.
OrderedJson serve_json(const RunDescription& run, const ServeMetrics& metrics,
                       const std::vector<MeasuredRequest>& requests, bool detailed);

// "openai-infqps-concurrency32-model-20261121-060000.json".
std::string result_file_name(const RunDescription& run);

}  // namespace lockstep
