#include "cli/bench/serve/serve_bench.h"

#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <ctime>
#include <filesystem>
#include <memory>
#include <thread>

#include "base/file.h"
#include "cli/bench/serve/load.h"
#include "cli/bench/serve/report.h"
#include "cli/bench/serve/request_body.h"
#include "cli/bench/serve/target.h"
#include "cli/interrupt.h"
#include "sharding/store.h"

namespace lockstep {
namespace {

constexpr double kMaxRandomTokens = 1 << 28;  // They are held at once.
constexpr std::size_t kMaxShownErrors = 10;
constexpr std::chrono::milliseconds kReadyPoll{200};

Error invalid(const std::string& message) { return {ErrorCode::kInvalidArgument, message}; }

// General lengths in place of the dataset's own.
ServeBenchOptions with_lengths(ServeBenchOptions options) {
  if (options.input_len) options.random.input_tokens = *options.input_len;
  if (options.output_len) {
    options.random.output_tokens = *options.output_len;
    options.sharegpt_output_len = *options.output_len;
    options.custom_output_len = *options.output_len;
  }
  return options;
}

Status check_together(const ServeBenchOptions& options) {
  const bool random = options.dataset_name == "random";
  if (random == options.dataset_path.has_value()) {
    return invalid(random ? "--dataset-path: --dataset-name random reads no file"
                          : "--dataset-name " + options.dataset_name + " needs --dataset-path");
  }
  if (options.dataset_name == "sharegpt" && !options.tokenizer) {
    return invalid("--dataset-name sharegpt needs --tokenizer, a store: its lengths are in tokens");
  }
  if (random && options.chat() && !options.tokenizer) {
    return invalid("--backend openai-chat needs --tokenizer, a store: random ids are no message");
  }
  const double prompt_tokens = (options.random.input_tokens * (1 + options.random.range_ratio) +
                                options.random.prefix_tokens) *
                               options.num_prompts;
  if (random && prompt_tokens > kMaxRandomTokens) {
    return invalid("--num-prompts: random prompts of more than 268,435,456 tokens together");
  }
  if (options.custom_output_len == 0) {
    return invalid("--custom-output-len: expected -1 or 1 and more, got \"0\"");
  }
  return {};
}

Result<Tokenizer> load_tokenizer(const std::string& directory) {
  LOCKSTEP_TRY_ASSIGN(const Store store, Store::open(directory), "store");
  LOCKSTEP_TRY_ASSIGN(const std::string blob, store.read_blob(TensorKind::kTokenizer), "store");
  return Tokenizer::from_json(blob);
}

Result<std::vector<BenchPrompt>> make_prompts(const ServeBenchOptions& options,
                                              const Tokenizer* tokenizer, std::mt19937_64& random) {
  const auto count = static_cast<std::size_t>(options.num_prompts);
  if (options.dataset_name == "random") {
    return random_prompts(options.random, count, tokenizer, random);
  }
  FileDataset dataset{.shuffle = !options.disable_shuffle, .oversample = !options.no_oversample};
  LOCKSTEP_TRY_ASSIGN(const MappedFile file, MappedFile::open(*options.dataset_path),
                      "--dataset-path");
  if (options.dataset_name == "sharegpt") {
    dataset.output_tokens = options.sharegpt_output_len;
    return sharegpt_prompts(as_text(file.bytes()), dataset, count, *tokenizer, random);
  }
  if (options.custom_output_len > 0) dataset.output_tokens = options.custom_output_len;
  return custom_prompts(as_text(file.bytes()), dataset, count, tokenizer, random);
}

// One process may have so many connections as the system lets it.
void raise_file_limit() {
  rlimit limit{};
  if (getrlimit(RLIMIT_NOFILE, &limit) != 0) return;
  limit.rlim_cur = limit.rlim_max;
  (void)setrlimit(RLIMIT_NOFILE, &limit);
}

class ServeBench {
 public:
  ServeBench(const ServeBenchOptions& options, const Clock& clock)
      : options_(with_lengths(options)), clock_(&clock), random_(options.seed) {}

  Status prepare() {
    if (Status status = check_together(options_); !status.ok()) return status;
    LOCKSTEP_TRY_ASSIGN(run_.metric_names, parse_metric_names(options_.percentile_metrics),
                        "--percentile-metrics");
    LOCKSTEP_TRY_ASSIGN(goodput_, parse_goodput(options_.goodput), "--goodput");
    for (const std::string& text : options_.metadata) {
      LOCKSTEP_TRY_ASSIGN(auto pair, parse_key_value(text), "--metadata");
      run_.metadata.push_back(std::move(pair));
    }
    LOCKSTEP_TRY_ASSIGN(server_, server_of(options_), "server");
    if (options_.tokenizer) {
      LOCKSTEP_TRY_ASSIGN(Tokenizer tokenizer, load_tokenizer(*options_.tokenizer), "--tokenizer");
      tokenizer_ = std::make_unique<Tokenizer>(std::move(tokenizer));
    }
    LOCKSTEP_TRY_ASSIGN(prompts_, make_prompts(options_, tokenizer_.get(), random_), "prompts");
    if (options_.model) {
      run_.model = *options_.model;
    } else {
      LOCKSTEP_TRY_ASSIGN(run_.model, first_model(options_, server_), "--model");
    }
    LOCKSTEP_TRY_ASSIGN(
        RequestBody body,
        RequestBody::make(options_, options_.served_model_name.value_or(run_.model)),
        "--extra-body");
    body_ = std::make_unique<RequestBody>(std::move(body));
    describe();
    return {};
  }

  Result<int> run(bool json) {
    raise_file_limit();
    if (Status status = wait_until_ready(); !status.ok()) return std::move(status).error();
    LOCKSTEP_TRY(warm_up(), "warm-up");
    LoadPlan plan = plan_of(prompts_.size());
    plan.arrivals_s = arrival_times(prompts_.size(), options_.arrival, random_);
    plan.body = [this](std::size_t i) { return body_->text(prompts_[i]); };
    if (!options_.disable_tqdm && !json && isatty(STDERR_FILENO) == 1) {
      plan.on_progress = [total = prompts_.size()](std::size_t done) {
        (void)std::fprintf(stderr, "\r%zu/%zu%s", done, total, done == total ? "\n" : "");
      };
    }
    LOCKSTEP_TRY_ASSIGN(LoadResult result, run_load(server_, plan, *clock_), "load");
    const std::vector<MeasuredRequest> requests = measured(std::move(result.answers));
    const ServeMetrics metrics =
        measure(requests, result.duration_s,
                {.percentiles = options_.metric_percentiles, .goodput = goodput_});
    report_failures(requests);
    const OrderedJson object = serve_json(run_, metrics, requests, options_.save_detailed);
    LOCKSTEP_TRY(json ? print_json(object) : print_text(serve_table(run_, metrics)), "result");
    LOCKSTEP_TRY(save(object), "--save-result");
    return metrics.completed > 0 ? 0 : exit_status(ErrorCode::kUnavailable);
  }

 private:
  void describe() {
    const std::time_t now = clock_->unix_seconds();
    std::tm utc{};
    gmtime_r(&now, &utc);
    char date[32];
    (void)std::strftime(date, sizeof date, "%Y%m%d-%H%M%S", &utc);
    run_.date = date;
    run_.backend = options_.backend;
    run_.label = options_.label;
    run_.tokenizer = options_.tokenizer;
    run_.num_prompts = options_.num_prompts;
    run_.request_rate = options_.arrival.request_rate;
    run_.burstiness = options_.arrival.burstiness;
    run_.max_concurrency = options_.max_concurrency;
    run_.goodput = !goodput_.empty();
  }

  LoadPlan plan_of(std::size_t count) const {
    LoadPlan plan;
    plan.arrivals_s.assign(count, 0.0);
    plan.max_concurrency = static_cast<std::size_t>(options_.max_concurrency.value_or(0));
    plan.body = [this](std::size_t) { return body_->text(prompts_.front()); };
    plan.request_id_prefix = options_.request_id_prefix;
    return plan;
  }

  Status wait_until_ready() {
    if (options_.ready_check_timeout_s == 0) return {};
    const std::int64_t deadline_ns =
        clock_->monotonic_ns() + std::int64_t{options_.ready_check_timeout_s} * 1'000'000'000;
    for (;;) {
      const auto result = run_load(server_, plan_of(1), *clock_);
      if (Interrupt::requested()) return Error{ErrorCode::kAborted, "interrupted"};
      const std::string problem =
          result.ok() ? result.value().answers.front().error : result.error().message;
      if (problem.empty()) return {};
      if (clock_->monotonic_ns() >= deadline_ns) {
        return Error{ErrorCode::kUnavailable, "the server is not ready: " + problem};
      }
      std::this_thread::sleep_for(kReadyPoll);
    }
  }

  Status warm_up() {
    if (options_.num_warmups == 0) return {};
    LOCKSTEP_TRY_ASSIGN(
        const LoadResult result,
        run_load(server_, plan_of(static_cast<std::size_t>(options_.num_warmups)), *clock_),
        "load");
    return {};
  }

  std::vector<MeasuredRequest> measured(std::vector<Answer> answers) const {
    std::vector<MeasuredRequest> requests;
    requests.reserve(answers.size());
    for (std::size_t i = 0; i < answers.size(); ++i) {
      MeasuredRequest request{.answer = std::move(answers[i])};
      const Answer& answer = request.answer;
      request.prompt_tokens = prompts_[i].prompt_tokens > 0 ? prompts_[i].prompt_tokens
                                                            : answer.prompt_tokens.value_or(0);
      const std::size_t counted =
          tokenizer_ != nullptr ? tokenizer_->encode(answer.text).size() : answer.gap_s.size() + 1;
      request.completion_tokens =
          answer.completion_tokens.value_or(static_cast<std::int64_t>(counted));
      requests.push_back(std::move(request));
    }
    return requests;
  }

  static void report_failures(const std::vector<MeasuredRequest>& requests) {
    std::size_t shown = 0;
    for (std::size_t i = 0; i < requests.size() && shown < kMaxShownErrors; ++i) {
      if (requests[i].answer.completed) continue;
      ++shown;
      (void)std::fprintf(stderr, "request %zu failed: %s\n", i, requests[i].answer.error.c_str());
    }
  }

  Status save(const OrderedJson& object) const {
    if (!options_.save_result && !options_.append_result) return {};
    const std::filesystem::path directory = options_.result_dir.value_or(".");
    std::error_code error;
    std::filesystem::create_directories(directory, error);
    if (error) return system_error(error.value(), directory.string(), "create");
    const std::string path =
        (directory / options_.result_filename.value_or(result_file_name(run_))).string();
    LOCKSTEP_TRY_ASSIGN(const File file, File::open_write(path), "open");
    std::uint64_t end = 0;
    if (options_.append_result) {
      LOCKSTEP_TRY_ASSIGN(end, file.size(), "append");
    } else {
      LOCKSTEP_TRY(file.truncate(0), "write");
    }
    const std::string text =
        (end > 0 ? "\n" : "") +
        object.dump(-1, ' ', /*ensure_ascii=*/false, OrderedJson::error_handler_t::replace);
    return file.write_all(end, as_bytes(text));
  }

  ServeBenchOptions options_;
  const Clock* clock_;
  std::mt19937_64 random_;
  HttpServer server_;
  std::unique_ptr<Tokenizer> tokenizer_;
  std::unique_ptr<RequestBody> body_;
  std::vector<BenchPrompt> prompts_;
  Goodput goodput_;
  RunDescription run_;
};

}  // namespace

Result<int> run_serve_bench(const ServeBenchOptions& options, bool json, const Clock& clock) {
  ServeBench bench(options, clock);
  if (Status status = bench.prepare(); !status.ok()) return std::move(status).error();
  return bench.run(json);
}

}  // namespace lockstep
