// `lockstep bench`: how fast a model runs here, in the dialect of llama-bench; and `bench
// perplexity`.
#include <ctime>
#include <fstream>
#include <optional>

#include "base/check.h"
#include "base/clock.h"
#include "cli/bench/bench_report.h"
#include "cli/bench/perplexity.h"
#include "cli/command.h"
#include "cli/generation.h"
#include "cli/interrupt.h"
#include "cli/options.h"
#include "cli/output.h"
#include "cli/replica_session.h"
#include "worker/leader.h"

namespace lockstep {
namespace {

struct BenchOptions {
  ReplicaOptions replica;
  std::vector<int> prompt_sizes = {512};
  std::vector<int> completion_sizes = {128};
  std::vector<int> threads;
  int repetitions = 5;
  bool warm_up = true;
  std::string format = "md";
};

std::string cpu_name() {
  std::ifstream cpuinfo("/proc/cpuinfo");
  for (std::string line; std::getline(cpuinfo, line);) {
    if (line.starts_with("model name")) return line.substr(line.find(':') + 2);
  }
  return "unknown";
}

std::string utc_now() {
  const std::time_t now = system_clock().unix_seconds();
  std::tm parts{};
  gmtime_r(&now, &parts);
  char text[32];
  (void)std::strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%SZ", &parts);
  return text;
}

// Parameters of the model: elements of its matrices and vectors, a tied head once.
std::uint64_t num_params(const Manifest& manifest) {
  std::uint64_t params = 0;
  for (const StoredTensor& tensor : manifest.tensors) {
    const bool blob =
        tensor.kind == TensorKind::kTokenizer || tensor.kind == TensorKind::kChatTemplate;
    if (!blob)
      params += static_cast<std::uint64_t>(tensor.rows) * static_cast<std::uint64_t>(tensor.k);
  }
  return params;
}

std::uint64_t weight_bytes(const Manifest& manifest) {
  std::uint64_t bytes = 0;
  for (const StoredTensor& tensor : manifest.tensors) bytes += tensor.bytes;
  return bytes;
}

BenchRow row_of(const BenchOptions& options, ReplicaSession& session, int threads) {
  const Manifest& manifest = session.store().manifest();
  BenchRow row;
  row.model_filename = options.replica.model;
  const StoredTensor* matrix = manifest.find(TensorKind::kAttnOutput, 0, 0);
  CHECK(matrix != nullptr, "a checked manifest has layer 0");
  row.model_params = num_params(manifest);
  char millions[32];
  (void)std::snprintf(millions, sizeof millions, "%.1fM",
                      static_cast<double>(row.model_params) * 1e-6);
  row.model_type =
      "llama " + std::string(millions) + " " + std::string(weight_format_name(matrix->format));
  row.model_bytes = weight_bytes(manifest);
  row.cpu = cpu_name();
  row.device = session.rank().device();
  row.n_batch = options.replica.chunk_tokens;
  row.n_threads = threads;
  row.ranks = session.world_size();
  row.activation_bits = manifest.config.activation_bits;
  row.kv_bits = manifest.config.kv_bits;
  row.test_time = utc_now();
  return row;
}

// Token ids that do not repeat soon: what they are does not change the work.
std::vector<std::uint32_t> made_up_prompt(int count, int vocab_size) {
  std::vector<std::uint32_t> ids;
  for (int i = 0; i < count; ++i) {
    ids.push_back(static_cast<std::uint32_t>((std::int64_t{i} * 7919 + 17) % vocab_size));
  }
  return ids;
}

// Nanoseconds of one run. A prompt ends with its first sampled token, as llama-bench's; a
// generation starts from one token, so that each of its steps is a decode.
Result<std::uint64_t> time_once(ReplicaSession& session, int n_prompt, int n_gen) {
  Leader leader(session.rank(), nullptr);
  Request request;
  request.prompt =
      made_up_prompt(std::max(n_prompt, 1), session.store().manifest().config.vocab_size);
  request.sampling.max_completion_tokens = static_cast<std::uint32_t>(std::max(n_gen, 1));
  request.sampling.trace = TraceKind::kTokens;
  LOCKSTEP_TRY_ASSIGN(const SequenceId id, leader.add(std::move(request)), "bench");
  const std::int64_t start_ns = system_clock().monotonic_ns();
  LOCKSTEP_TRY(run_until_idle(leader), "bench");
  const std::int64_t end_ns = system_clock().monotonic_ns();
  (void)leader.take(id);
  return static_cast<std::uint64_t>(end_ns - start_ns);
}

Status bench_cases(const BenchOptions& options, ReplicaSession& session, int threads,
                   std::vector<BenchRow>& rows) {
  const auto run = [&](int n_prompt, int n_gen) -> Status {
    BenchRow row = row_of(options, session, threads);
    row.n_prompt = n_prompt;
    row.n_gen = n_gen;
    if (options.warm_up) {
      LOCKSTEP_TRY(time_once(session, n_prompt, std::min(n_gen, 8)), "warm-up");
    }
    for (int i = 0; i < options.repetitions; ++i) {
      LOCKSTEP_TRY_ASSIGN(const std::uint64_t ns, time_once(session, n_prompt, n_gen), "run");
      row.samples_ns.push_back(ns);
    }
    rows.push_back(std::move(row));
    return {};
  };
  for (const int n : options.prompt_sizes) {
    if (n > 0) LOCKSTEP_TRY(run(n, 0), "-p " + std::to_string(n));
  }
  for (const int n : options.completion_sizes) {
    if (n > 0) LOCKSTEP_TRY(run(0, n), "-n " + std::to_string(n));
  }
  return {};
}

Result<int> bench(const BenchOptions& options, const CommandContext& context) {
  const Interrupt interrupt;
  LOCKSTEP_TRY_ASSIGN(const auto session, ReplicaSession::open(options.replica), "bench");
  session->set_reuse_prefixes(false);
  std::vector<int> threads = options.threads;
  if (threads.empty()) threads = {std::max(1, available_cores() / session->world_size())};
  std::vector<BenchRow> rows;
  for (const int count : threads) {
    session->set_threads(count);
    LOCKSTEP_TRY(session->load(Status()), "bench");
    if (session->leads()) {
      LOCKSTEP_TRY(bench_cases(options, *session, count, rows), "bench");
      session->unload();
    } else {
      LOCKSTEP_TRY(session->follow(), "rank");
    }
  }
  if (session->leads()) {
    LOCKSTEP_TRY(print_rows(rows, context.json ? "json" : options.format), "result");
  }
  return 0;
}

void add_perplexity_command(CLI::App& bench_command, CommandContext& context) {
  const auto options = std::make_shared<PerplexityOptions>();
  CLI::App& command = add_command(
      bench_command, "perplexity",
      {.summary = "how well a model predicts a text: exp of the mean negative log-likelihood.",
       .usages = {"lockstep bench perplexity --model DIR --text FILE [options]"}});
  add_replica_options(command, options->replica);
  add_text(command, "--text", options->text, "The text, read from its start.")->type_name("FILE");
  add_integer(command, "--window", options->window, {2, 1 << 20},
              "Tokens of one window, each a context of its own, no begin token.");
  add_integer(command, "--windows", options->windows, {1, 1 << 20},
              "Windows, one after the other.");
  add_text(command, "--dump-logits", options->dump_logits,
           "Write the logits of every prediction, binary32 [predictions, vocabulary].")
      ->type_name("FILE");
  add_json_flag(command, context);
  set_action(command, context, [options, &context]() -> Result<int> {
    const Interrupt interrupt;
    return run_perplexity(*options, context.json);
  });
}

}  // namespace

void add_bench_command(CLI::App& root, CommandContext& context) {
  const auto options = std::make_shared<BenchOptions>();
  CLI::App& command = add_command(
      root, "bench",
      {.summary = "how fast a model runs here; output like llama-bench's.",
       .usages = {"lockstep bench --model DIR [-p 512] [-n 128] [-t 1,2] [-r 5] [-o md]",
                  "lockstep bench perplexity --model DIR --text FILE"}});
  add_replica_options(command, options->replica, /*with_threads=*/false);
  add_list(command, "-p,--n-prompt", options->prompt_sizes, {0, 1 << 20},
           "Tokens of a prompt, one case each; 0: none. [512]");
  add_list(command, "-n,--n-gen", options->completion_sizes, {0, 1 << 20},
           "Tokens generated one by one, one case each; 0: none. [128]");
  add_list(command, "-t,--threads", options->threads, {1, 1024},
           "Compute threads per rank, one round each. [cores of the affinity mask / ranks]");
  add_integer(command, "-r,--repetitions", options->repetitions, {1, 1000}, "Runs of each case.");
  add_choice(command, "-o,--output", options->format, {"md", "csv", "json", "jsonl"},
             "How results are printed.");
  add_json_flag(command, context);
  set_action(command, context, [options, &context] { return bench(*options, context); });
  add_perplexity_command(command, context);
  command.require_subcommand(0, 1);
}

}  // namespace lockstep
