// The command line of `lockstep bench serve`: the flags of `vllm bench serve`.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "cli/bench/serve/arrival.h"
#include "cli/bench/serve/dataset.h"
#include "cli/bench/serve/metrics.h"

namespace CLI {
class App;
}

namespace lockstep {

struct ServeBenchOptions {
  // Where to.
  std::string backend = "openai";  // Or vllm, which is the same, or openai-chat.
  std::optional<std::string> base_url;
  std::string host = "127.0.0.1";
  int port = 8000;
  std::optional<std::string> endpoint;
  std::vector<std::string> headers;  // KEY=VALUE
  std::optional<std::string> api_key_file;
  bool insecure = false;
  std::optional<std::string> model;
  std::optional<std::string> served_model_name;
  std::optional<std::string> tokenizer;  // A store.
  int ready_check_timeout_s = 0;

  // What.
  std::string dataset_name = "random";
  std::optional<std::string> dataset_path;
  bool no_oversample = false;
  bool disable_shuffle = false;
  bool skip_chat_template = false;
  int num_prompts = 1000;
  std::uint64_t seed = 0;
  RandomDataset random;
  std::optional<int> input_len;
  std::optional<int> output_len;
  std::optional<int> sharegpt_output_len;
  int custom_output_len = 256;  // -1: what the line says.

  // When.
  ArrivalOptions arrival;
  std::optional<int> max_concurrency;
  int num_warmups = 0;

  // How.
  bool ignore_eos = false;
  std::optional<int> logprobs;
  std::optional<double> temperature;
  std::optional<double> top_p;
  std::optional<int> top_k;
  std::optional<double> min_p;
  std::optional<double> frequency_penalty;
  std::optional<double> presence_penalty;
  std::optional<double> repetition_penalty;
  std::optional<std::string> extra_body;  // A JSON object.
  std::string request_id_prefix = "bench-";

  // What is reported.
  std::string percentile_metrics = "ttft,tpot,itl";
  std::vector<double> metric_percentiles = {99};
  std::vector<std::string> goodput;  // NAME:MS
  bool disable_tqdm = false;
  bool save_result = false;
  bool append_result = false;
  bool save_detailed = false;
  std::optional<std::string> result_dir;
  std::optional<std::string> result_filename;
  std::optional<std::string> label;
  std::vector<std::string> metadata;  // KEY=VALUE

  bool chat() const { return backend == "openai-chat"; }
  std::string path() const {
    return endpoint.value_or(chat() ? "/v1/chat/completions" : "/v1/completions");
  }
};

void add_serve_bench_options(CLI::App& command, ServeBenchOptions& options);

// "ttft,e2el"; kInvalidArgument names what is none of ttft, tpot, itl, e2el.
Result<std::vector<std::string>> parse_metric_names(const std::string& text);

// "KEY=VALUE", trimmed.
Result<std::pair<std::string, std::string>> parse_key_value(const std::string& text);

}  // namespace lockstep
