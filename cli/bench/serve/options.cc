#include "cli/bench/serve/options.h"

#include <CLI/App.hpp>
#include <algorithm>
#include <limits>

#include "cli/options.h"

namespace lockstep {
namespace {

constexpr double kMaxNumber = std::numeric_limits<double>::max();
constexpr int kMaxPairs = 64;
constexpr int kMaxTokens = 1 << 20;

// Above 0, or "inf".
void add_positive(CLI::App& command, const std::string& name, double& value,
                  const std::string& description) {
  command
      .add_option_function<std::string>(
          name,
          [&value, name](const std::string& text) {
            if (text == "inf") {
              value = std::numeric_limits<double>::infinity();
              return;
            }
            const auto number =
                parse_number<double>(text, {std::numeric_limits<double>::min(), kMaxNumber});
            if (!number.ok()) {
              throw CLI::ValidationError(
                  name, "expected a number above 0 or inf, got \"" + text.substr(0, 60) + "\"");
            }
            value = number.value();
          },
          description)
      ->type_name("X")
      ->multi_option_policy(CLI::MultiOptionPolicy::Throw);
}

// One or more words behind one flag.
void add_words(CLI::App& command, const std::string& name, std::vector<std::string>& values,
               const std::string& label, const std::string& description) {
  command.add_option(name, values, description)->type_name(label)->expected(1, kMaxPairs);
}

void add_endpoint_options(CLI::App& command, ServeBenchOptions& options) {
  add_choice(command, "--backend", options.backend, {"openai", "vllm", "openai-chat"},
             "Completions (openai and vllm are the same here), or chat completions.");
  add_text(command, "--base-url", options.base_url,
           "The server, http or https, in place of --host and --port.")
      ->type_name("URL");
  add_text(command, "--host", options.host, "The server's name or address.")->type_name("HOST");
  add_integer(command, "--port", options.port, {1, 65535}, "The server's port.");
  add_text(command, "--endpoint", options.endpoint,
           "The route. [/v1/completions; openai-chat: /v1/chat/completions]")
      ->type_name("PATH");
  add_words(command, "--header", options.headers, "KEY=VALUE ...", "Sent with every request.");
  add_text(command, "--api-key-file", options.api_key_file,
           "A file with the API key alone. [the environment's OPENAI_API_KEY]")
      ->type_name("FILE");
  add_flag(command, "--insecure", options.insecure, "Do not check the certificate of https.");
  add_text(command, "--model", options.model, "[the first of the server's /v1/models]")
      ->type_name("NAME");
  add_text(command, "--served-model-name", options.served_model_name,
           "What requests call the model. [--model]")
      ->type_name("NAME");
  add_text(
      command, "--tokenizer", options.tokenizer,
      "A store: prompts of exact length, answers counted. Without one, random prompts are sent "
      "as token ids.")
      ->type_name("DIR");
  add_integer(command, "--ready-check-timeout-sec", options.ready_check_timeout_s, {0, 86400},
              "Seconds to wait until a first request is answered; 0: no check.");
}

void add_dataset_options(CLI::App& command, ServeBenchOptions& options) {
  add_choice(command, "--dataset-name", options.dataset_name, {"random", "sharegpt", "custom"},
             "Where prompts come from.");
  add_text(command, "--dataset-path", options.dataset_path,
           "sharegpt: the JSON file; custom: a {\"prompt\": ...} a line.")
      ->type_name("FILE");
  add_flag(command, "--no-oversample", options.no_oversample,
           "Do not take prompts twice where the file has too few.");
  add_flag(command, "--disable-shuffle", options.disable_shuffle, "Take the file from its start.");
  add_flag(command, "--skip-chat-template", options.skip_chat_template,
           "Taken for vLLM's sake: prompts are always sent as they are.");
  add_integer(command, "--num-prompts", options.num_prompts, {1, 1'000'000}, "Requests.");
  add_integer(command, "--seed", options.seed, {0, UINT64_MAX}, "Of prompts and arrivals.");
  add_integer(command, "--random-input-len", options.random.input_tokens, {1, kMaxTokens},
              "random: tokens of a prompt, the prefix apart.");
  add_integer(command, "--random-output-len", options.random.output_tokens, {1, kMaxTokens},
              "random: tokens of an answer.");
  add_number(command, "--random-range-ratio", options.random.range_ratio, {0, 0.999999},
             "random: both lengths lie in [n (1 - X), n (1 + X)].");
  add_integer(command, "--random-prefix-len", options.random.prefix_tokens, {0, kMaxTokens},
              "random: tokens that all prompts begin with.");
  add_integer(command, "--random-vocab-size", options.random.vocab_size, {2, 1 << 24},
              "random without --tokenizer: ids are below it.");
  add_integer(command, "--sharegpt-output-len", options.sharegpt_output_len, {1, kMaxTokens},
              "sharegpt: tokens of an answer. [those of the file's]");
  add_integer(command, "--custom-output-len", options.custom_output_len, {-1, kMaxTokens},
              "custom: tokens of an answer; -1: the line's output_tokens.");
  add_integer(command, "--input-len", options.input_len, {1, kMaxTokens},
              "In place of the dataset's own option.");
  add_integer(command, "--output-len", options.output_len, {1, kMaxTokens},
              "In place of the dataset's own option.");
}

void add_traffic_options(CLI::App& command, ServeBenchOptions& options) {
  add_positive(command, "--request-rate", options.arrival.request_rate,
               "Requests per second; inf: all at once. [inf]");
  add_positive(command, "--burstiness", options.arrival.burstiness,
               "1: Poisson process; below: bursts; above: more even (gamma distribution). [1]");
  add_integer(command, "--max-concurrency", options.max_concurrency, {1, 1'000'000},
              "Requests on their way at once, at most. [no limit]");
  add_integer(command, "--num-warmups", options.num_warmups, {0, 100'000},
              "Requests before the measured ones; the first prompt each.");
}

void add_sampling_options(CLI::App& command, ServeBenchOptions& options) {
  add_flag(command, "--ignore-eos", options.ignore_eos,
           "Answers go on to their full length; always so with random prompts.");
  add_integer(command, "--logprobs", options.logprobs, {0, 1000}, "Logprobs to ask for.");
  add_number(command, "--temperature", options.temperature, {0, 1000}, "[the server's]");
  add_number(command, "--top-p", options.top_p, {0, 1}, "[the server's]");
  add_integer(command, "--top-k", options.top_k, {-1, INT32_MAX}, "[the server's]");
  add_number(command, "--min-p", options.min_p, {0, 1}, "[the server's]");
  add_number(command, "--frequency-penalty", options.frequency_penalty, {-1000, 1000},
             "[the server's]");
  add_number(command, "--presence-penalty", options.presence_penalty, {-1000, 1000},
             "[the server's]");
  add_number(command, "--repetition-penalty", options.repetition_penalty, {0, 1000},
             "[the server's]");
  add_text(command, "--extra-body", options.extra_body, "Members for every request's JSON.")
      ->type_name("JSON");
  add_text(command, "--request-id-prefix", options.request_id_prefix,
           "x-request-id of each request is this and its number.");
}

void add_report_options(CLI::App& command, ServeBenchOptions& options) {
  add_text(command, "--percentile-metrics", options.percentile_metrics,
           "Of ttft, tpot, itl, e2el: which are reported.")
      ->type_name("NAME,NAME,...");
  add_list(command, "--metric-percentiles", options.metric_percentiles, {0.0, 100.0},
           "Percentiles of them.");
  add_words(command, "--goodput", options.goodput, "NAME:MS ...",
            "Milliseconds of ttft, tpot, e2el that a good request stays within.");
  add_flag(command, "--disable-tqdm", options.disable_tqdm, "No progress on the terminal.");
  add_flag(command, "--save-result", options.save_result, "Write the result as JSON.");
  add_flag(command, "--append-result", options.append_result, "Append it to the file, a line.");
  add_flag(command, "--save-detailed", options.save_detailed,
           "With every request's times, text and error.");
  add_text(command, "--result-dir", options.result_dir, "[the current directory]")
      ->type_name("DIR");
  add_text(command, "--result-filename", options.result_filename,
           "[LABEL-RATEqps-concurrencyN-MODEL-DATE.json]")
      ->type_name("NAME");
  add_text(command, "--label", options.label, "First word of the file name. [--backend]");
  add_words(command, "--metadata", options.metadata, "KEY=VALUE ...", "Members of the result.");
}

std::string trimmed(const std::string& text) {
  const std::size_t first = text.find_first_not_of(" \t");
  if (first == std::string::npos) return "";
  return text.substr(first, text.find_last_not_of(" \t") - first + 1);
}

}  // namespace

void add_serve_bench_options(CLI::App& command, ServeBenchOptions& options) {
  add_endpoint_options(command, options);
  add_dataset_options(command, options);
  add_traffic_options(command, options);
  add_sampling_options(command, options);
  add_report_options(command, options);
}

Result<std::vector<std::string>> parse_metric_names(const std::string& text) {
  std::vector<std::string> names;
  for (std::size_t begin = 0; begin <= text.size();) {
    const std::size_t end = std::min(text.find(',', begin), text.size());
    const std::string name = text.substr(begin, end - begin);
    if (name != "ttft" && name != "tpot" && name != "itl" && name != "e2el") {
      return Error{ErrorCode::kInvalidArgument,
                   "expected some of ttft, tpot, itl, e2el, got \"" + name + "\""};
    }
    names.push_back(name);
    begin = end + 1;
  }
  return names;
}

Result<std::pair<std::string, std::string>> parse_key_value(const std::string& text) {
  const std::size_t equals = text.find('=');
  const std::string key = trimmed(text.substr(0, equals));
  if (equals == std::string::npos || key.empty()) {
    return Error{ErrorCode::kInvalidArgument, "expected KEY=VALUE, got \"" + text + "\""};
  }
  return std::pair(key, trimmed(text.substr(equals + 1)));
}

}  // namespace lockstep
