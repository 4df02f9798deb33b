// `lockstep bench`: how fast a model runs here, in the dialect of llama-bench; and what else can be
// measured.
#include "base/clock.h"
#include "cli/bench/batch.h"
#include "cli/bench/load.h"
#include "cli/bench/machine.h"
#include "cli/bench/ops.h"
#include "cli/bench/perplexity.h"
#include "cli/bench/serve/serve_bench.h"
#include "cli/bench/speed.h"
#include "cli/bench/store.h"
#include "cli/command.h"
#include "cli/interrupt.h"
#include "cli/options.h"

namespace lockstep {
namespace {

void add_threads(CLI::App& command, std::vector<int>& threads) {
  add_list(command, "-t,--threads", threads, {1, 1024},
           "Compute threads per rank, one round each. [cores of the affinity mask / ranks]");
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

void add_bench_batch_command(CLI::App& bench_command, CommandContext& context) {
  const auto options = std::make_shared<BatchOptions>();
  CLI::App& command = add_command(
      bench_command, "batch",
      {.summary = "how fast several sequences run at once; output like llama-batched-bench's.",
       .usages = {"lockstep bench batch --model DIR [--npl 8,32] [--npp 128] [--ntg 64]"}});
  add_replica_options(command, options->replica, /*with_threads=*/false);
  add_list(command, "--npl", options->sequences, {1, 256},
           "Sequences at once, one case each. [8,32]");
  add_integer(command, "--npp", options->prompt_size, {1, 1 << 20}, "Prompt tokens of each.");
  add_integer(command, "--ntg", options->completion_size, {1, 1 << 20},
              "Tokens generated for each.");
  add_threads(command, options->threads);
  add_choice(command, "-o,--output", options->format, {"md", "json", "jsonl"},
             "How results are printed.");
  add_json_flag(command, context);
  set_action(command, context, [options, &context]() -> Result<int> {
    const Interrupt interrupt;
    return run_batch(*options, context.json);
  });
}

void add_load_command(CLI::App& bench_command, CommandContext& context) {
  const auto options = std::make_shared<LoadOptions>();
  CLI::App& command = add_command(bench_command, "load",
                                  {.summary = "how long a model takes to load, every hash checked.",
                                   .usages = {"lockstep bench load --model DIR [-r 5]"}});
  add_replica_options(command, options->replica);
  add_integer(command, "-r,--repetitions", options->repetitions, {1, 1000}, "Loads.");
  add_json_flag(command, context);
  set_action(command, context, [options, &context] { return run_load(*options, context.json); });
}

void add_machine_command(CLI::App& bench_command, CommandContext& context) {
  const auto options = std::make_shared<MachineOptions>();
  CLI::App& command =
      add_command(bench_command, "machine",
                  {.summary = "what this machine can do at best: read memory, multiply bytes.",
                   .usages = {"lockstep bench machine [--model DIR | --bytes BYTES] [-t 1,2]",
                              "lockstep bench machine --look"}});
  add_text(command, "--model", options->model, "A store: as many bytes as a step reads of it.")
      ->type_name("DIR");
  add_byte_size(command, "--bytes", options->bytes, {1, std::uint64_t{1} << 40},
                "Bytes that are read. [the model's, or 256MiB]");
  add_list(command, "-t,--threads", options->threads, {1, 1024},
           "Threads, each on a processor of its own. [1 and all]");
  add_integer(command, "--passes", options->passes, {1, 1000}, "The best of so many counts.");
  command.add_flag("--look", options->look,
                   "Instead, what every processor does at this moment, in some 50 ms.");
  add_json_flag(command, context);
  set_action(command, context, [options, &context] { return run_machine(*options, context.json); });
}

void add_bench_serve_command(CLI::App& bench_command, CommandContext& context) {
  const auto options = std::make_shared<ServeBenchOptions>();
  CLI::App& command = add_command(
      bench_command, "serve",
      {.summary = "how fast a server answers many at once; flags and output of vllm bench serve.",
       .usages = {"lockstep bench serve --port 8000 [--num-prompts 1000] [--max-concurrency 32]",
                  "lockstep bench serve --base-url https://HOST --backend openai-chat "
                  "--dataset-name custom --dataset-path PROMPTS.jsonl"},
       .exit_status =
           "0 some requests were answered; 64 wrong usage; 65 bad data; 69 no request was "
           "answered; 74 I/O; 130 interrupted."});
  add_serve_bench_options(command, *options);
  add_json_flag(command, context);
  set_action(command, context, [options, &context]() -> Result<int> {
    const Interrupt interrupt;
    return run_serve_bench(*options, context.json, system_clock());
  });
}

void add_ops_command(CLI::App& bench_command, CommandContext& context) {
  const auto options = std::make_shared<OpsOptions>();
  CLI::App& command = add_command(
      bench_command, "ops",
      {.summary = "times of single operations on one thread, by Google Benchmark.",
       .usages = {"lockstep bench ops [--filter linear/q4_1/a16] [--device cpu:avx2]"}});
  add_text(command, "--model", options->model, "A store whose shapes count. [SmolLM2-135M's]")
      ->type_name("DIR");
  add_text(command, "--device", options->device,
           "auto, cpu, cpu:reference, cpu:avx2 or cpu:avx512vnni.")
      ->type_name("NAME");
  add_text(command, "--filter", options->filter, "A regular expression over the names.");
  add_number(command, "--min-time", options->min_time_s, {1e-6, 3600},
             "Seconds that each operation is repeated, at least.");
  add_json_flag(command, context);
  set_action(command, context, [options, &context] { return run_ops(*options, context.json); });
}

void add_store_command(CLI::App& bench_command, CommandContext& context) {
  const auto options = std::make_shared<StoreOptions>();
  CLI::App& command = add_command(
      bench_command, "store",
      {.summary = "how many jobs a second become durable on a disk, and how long its syncs take.",
       .usages = {"lockstep bench store --state DIR [--producers 256] [--jobs 20000] [-r 5]"}});
  add_text(command, "--state", options->directory,
           "A folder on the disk; must not be there yet, and is removed at the end.")
      ->required()
      ->type_name("DIR")
      ->group("Required");
  add_integer(command, "--producers", options->producers, {1, 4096},
              "Clients, each with one commit at a time.");
  add_integer(command, "--jobs", options->jobs, {1, 10'000'000}, "Jobs of each run.");
  add_integer(command, "-r,--repetitions", options->repetitions, {1, 1000}, "Runs.");
  add_json_flag(command, context);
  set_action(command, context, [options, &context] { return run_store(*options, context.json); });
}

}  // namespace

void add_bench_command(CLI::App& root, CommandContext& context) {
  const auto options = std::make_shared<SpeedOptions>();
  CLI::App& command = add_command(
      root, "bench",
      {.summary = "how fast a model runs here; output like llama-bench's.",
       .usages = {
           "lockstep bench --model DIR [-p 512] [-n 128] [-t 1,2] [-r 5] [-o md]",
           "lockstep bench batch --model DIR [--npl 8,32]", "lockstep bench load --model DIR",
           "lockstep bench machine [--model DIR]", "lockstep bench ops [--filter linear]",
           "lockstep bench perplexity --model DIR --text FILE", "lockstep bench store --state DIR",
           "lockstep bench serve --port 8000 [--max-concurrency 32]"}});
  add_replica_options(command, options->replica, /*with_threads=*/false);
  add_list(command, "-p,--n-prompt", options->prompt_sizes, {0, 1 << 20},
           "Tokens of a prompt, one case each; 0: none. [512]");
  add_list(command, "-n,--n-gen", options->completion_sizes, {0, 1 << 20},
           "Tokens generated one by one, one case each; 0: none. [128]");
  add_list(command, "-d,--n-depth", options->depths, {0, 1 << 20},
           "Tokens of context before the measured ones, one round of cases each. [0]");
  add_threads(command, options->threads);
  add_integer(command, "-r,--repetitions", options->repetitions, {1, 1000}, "Runs of each case.");
  add_choice(command, "-o,--output", options->format, {"md", "csv", "json", "jsonl"},
             "How results are printed.");
  add_json_flag(command, context);
  set_action(command, context, [options, &context]() -> Result<int> {
    const Interrupt interrupt;
    return run_speed(*options, context.json);
  });
  add_bench_batch_command(command, context);
  add_load_command(command, context);
  add_machine_command(command, context);
  add_ops_command(command, context);
  add_perplexity_command(command, context);
  add_store_command(command, context);
  add_bench_serve_command(command, context);
  command.require_subcommand(0, 1);
}

}  // namespace lockstep
