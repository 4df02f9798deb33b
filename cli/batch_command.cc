// `lockstep batch run`: answers a batch file without a server, and goes on where a killed run
// ended.
#include <cstdio>
#include <filesystem>
#include <optional>
#include <string>
#include <unordered_set>

#include "base/checked.h"
#include "base/clock.h"
#include "base/random.h"
#include "cli/batch/batch_engine.h"
#include "cli/batch/batch_feed.h"
#include "cli/batch/line_file.h"
#include "cli/batch/line_leases.h"
#include "cli/batch/merge.h"
#include "cli/command.h"
#include "cli/interrupt.h"
#include "cli/options.h"
#include "cli/output.h"
#include "cli/progress_bar.h"
#include "cli/replica_session.h"
#include "scheduler/batch_lines.h"
#include "worker/leader.h"

namespace lockstep {
namespace {

constexpr int kInterruptedStatus = 130;
constexpr int kTryAgainStatus = 75;
constexpr int kMaxFaultsShown = 10;
constexpr int kDefaultBlocks = 2'048;
constexpr std::int64_t kSyncNs = 1'000'000'000;

struct BatchRunOptions {
  ReplicaOptions replica;
  std::string input;
  std::string out;
  std::string errors;
  std::string leases;
  std::string holder;
  std::string model_name;
  std::uint32_t max_sequences = 64;
  std::optional<int> kv_blocks;
};

// What only rank 0 has.
struct BatchFiles {
  std::optional<BatchLines> lines;
  LineSource input;
  LineSink out;
  std::optional<LineSink> errors;
  std::unordered_set<std::string> done;  // Lines of an earlier run.
  std::optional<LineLeases> leases;
  std::uint32_t num_lines = 0;
};

Error bad_input(const std::string& path, const std::vector<BatchError>& errors) {
  std::string message = path + ": ";
  for (int i = 0; i < std::min(kMaxFaultsShown, static_cast<int>(errors.size())); ++i) {
    const BatchError& error = errors[static_cast<std::size_t>(i)];
    if (i > 0) message += "; ";
    if (error.line > 0) message += "line " + std::to_string(error.line) + ": ";
    message += error.message;
  }
  if (errors.size() > kMaxFaultsShown) {
    message += "; and " + std::to_string(errors.size() - kMaxFaultsShown) + " more";
  }
  return {ErrorCode::kCorrupt, std::move(message)};
}

// Checks every line before the first is answered, as the gateway does.
Status check_input(const std::string& path, BatchFiles& files) {
  std::size_t num_known = 0;
  BatchValidator validator("", [&](const BatchLine& line) {
    num_known += files.done.contains(line.custom_id) ? 1 : 0;
    return files.lines->check(line);
  });
  LOCKSTEP_TRY(files.input.visit([&](std::string_view piece) { return validator.feed(piece); }),
               path);
  const BatchValidator::Verdict verdict = validator.finish();
  if (!verdict.errors.empty()) return bad_input(path, verdict.errors);
  if (num_known != files.done.size()) {
    return Error{ErrorCode::kCorrupt, "--out: has " +
                                          std::to_string(files.done.size() - num_known) +
                                          " lines that " + path + " has not; give another --out"};
  }
  files.num_lines = verdict.num_lines;
  return {};
}

Result<BatchFiles> open_files(const BatchRunOptions& options, const Store& model) {
  BatchFiles files;
  std::string name = options.model_name;
  if (name.empty()) {
    name = std::filesystem::path(options.replica.model).lexically_normal().filename().string();
  }
  LOCKSTEP_TRY_ASSIGN(files.lines, BatchLines::open(model, name, options.replica.context_tokens),
                      "--model");
  LOCKSTEP_TRY_ASSIGN(files.input, LineSource::open(options.input), "IN");
  const std::string fingerprint = files.lines->fingerprint();
  LOCKSTEP_TRY_ASSIGN(files.out, LineSink::open(options.out, fingerprint, files.done), "--out");
  if (!options.errors.empty()) {
    LOCKSTEP_TRY_ASSIGN(files.errors, LineSink::open(options.errors, fingerprint, files.done),
                        "--errors");
  }
  LOCKSTEP_TRY(check_input(options.input, files), "IN");
  if (!options.leases.empty()) {
    LOCKSTEP_TRY_ASSIGN(files.leases, LineLeases::open(options.leases, options.holder), "--leases");
  }
  return files;
}

Status sync_all(BatchFiles& files) {
  LOCKSTEP_TRY(files.out.sync(), "--out");
  if (files.errors) LOCKSTEP_TRY(files.errors->sync(), "--errors");
  return {};
}

Status add_lines(const BatchRunOptions& options, BatchFeed& feed, BatchEngine& engine) {
  while (engine.num_choices() < options.max_sequences) {
    LOCKSTEP_TRY_ASSIGN(const std::optional<BatchLine> line, feed.next(), "IN");
    if (!line) return {};
    LOCKSTEP_TRY(engine.add(*line, system_clock().unix_ms()), "line");
  }
  return {};
}

// Whether there may be more behind the end of the input: blocks of others who gave them up.
Result<bool> look_again(const BatchRunOptions& options, BatchFiles& files, BatchFeed& feed) {
  LOCKSTEP_TRY(sync_all(files), "run");
  LOCKSTEP_TRY(feed.settle(), "run");
  LOCKSTEP_TRY_ASSIGN(LineSource input, LineSource::open(options.input), "IN");
  return feed.begin_pass(std::move(input));
}

// False: interrupted.
Result<bool> answer_lines(const BatchRunOptions& options, BatchFiles& files, BatchFeed& feed,
                          BatchEngine& engine) {
  ProgressBar bar(system_clock());
  std::int64_t synced_ns = system_clock().monotonic_ns();
  for (;;) {
    if (Interrupt::requested()) {
      LOCKSTEP_TRY(sync_all(files), "interrupted");
      return false;
    }
    LOCKSTEP_TRY(add_lines(options, feed, engine), "run");
    if (engine.num_choices() == 0) {
      LOCKSTEP_TRY_ASSIGN(const bool more, look_again(options, files, feed), "run");
      if (!more) return true;
      continue;
    }
    LOCKSTEP_TRY(engine.step(system_clock().unix_ms()), "run");
    bar.update(engine.figures().bytes, files.input.num_bytes());
    const std::int64_t now_ns = system_clock().monotonic_ns();
    if (now_ns - synced_ns < kSyncNs) continue;
    synced_ns = now_ns;
    LOCKSTEP_TRY(sync_all(files), "run");
    LOCKSTEP_TRY(feed.settle(), "run");
  }
}

Status print_report(const BatchRunOptions& options, const BatchFiles& files,
                    const BatchFigures& figures, double seconds, bool as_json) {
  if (as_json) {
    OrderedJson json;
    json["out"] = options.out;
    json["lines"] = files.num_lines;
    json["lines_of_earlier_runs"] = files.done.size();
    json["answered"] = figures.answered;
    json["failed"] = figures.failed;
    json["prompt_tokens"] = figures.prompt_tokens;
    json["completion_tokens"] = figures.completion_tokens;
    json["seconds"] = seconds;
    return print_json(json);
  }
  std::fprintf(stderr, "%llu of %u lines answered, %llu with an error, %zu by earlier runs\n",
               static_cast<unsigned long long>(figures.answered), files.num_lines,
               static_cast<unsigned long long>(figures.failed), files.done.size());
  std::fprintf(stderr, "%llu prompt and %llu completion tokens in %.1f s\n",
               static_cast<unsigned long long>(figures.prompt_tokens),
               static_cast<unsigned long long>(figures.completion_tokens), seconds);
  return {};
}

Result<int> lead(const BatchRunOptions& options, ReplicaSession& session, BatchFiles& files,
                 const CommandContext& context) {
  LOCKSTEP_TRY_ASSIGN(const std::string blob, session.store().read_blob(TensorKind::kTokenizer),
                      "tokenizer");
  LOCKSTEP_TRY_ASSIGN(const Tokenizer tokenizer, Tokenizer::from_json(blob), "tokenizer");
  Leader leader(session.rank(), &tokenizer);
  LOCKSTEP_TRY_ASSIGN(LineSource input, LineSource::open(options.input), "IN");
  BatchFeed feed(std::move(input), files.done, files.leases ? &*files.leases : nullptr);
  const auto write = [&files, &feed](const BatchLineResult& result) {
    LineSink& sink = files.errors && !is_output(result) ? *files.errors : files.out;
    const Status written = sink.append(batch_output_line(result));
    feed.ended(result.custom_id);
    return written;
  };
  BatchEngine engine(leader, *files.lines, system_random(), write);
  const std::int64_t start_ns = system_clock().monotonic_ns();
  LOCKSTEP_TRY_ASSIGN(const bool is_whole, answer_lines(options, files, feed, engine), "batch");
  const double seconds = static_cast<double>(system_clock().monotonic_ns() - start_ns) * 1e-9;
  LOCKSTEP_TRY(print_report(options, files, engine.figures(), seconds, context.json), "result");
  if (is_whole) return 0;
  report_hint(context, "the same command goes on with what is left");
  return kInterruptedStatus;
}

Result<int> run(const BatchRunOptions& options, const CommandContext& context) {
  const Interrupt interrupt;
  LOCKSTEP_TRY_ASSIGN(const auto session, ReplicaSession::open(options.replica), "model");
  const std::uint32_t context_tokens =
      options.replica.context_tokens != 0
          ? options.replica.context_tokens
          : static_cast<std::uint32_t>(session->store().manifest().config.context_length);
  // At least one sequence of the whole context.
  const int least = static_cast<int>(ceil_div<std::uint32_t>(context_tokens, kBlockTokens));
  session->set_num_blocks(options.kv_blocks.value_or(std::max(kDefaultBlocks, least)));
  std::optional<Result<BatchFiles>> files;
  if (session->leads()) files = open_files(options, session->store());
  const bool is_ready = !files || files->ok();
  const Status loaded = session->load(is_ready ? Status() : Status(files->error()));
  if (!loaded.ok()) return loaded.error();
  if (!session->leads()) {
    LOCKSTEP_TRY(session->follow(), "rank");
    return 0;
  }
  return lead(options, *session, files->value(), context);
}

void add_batch_run_command(CLI::App& batch_command, CommandContext& context) {
  const auto options = std::make_shared<BatchRunOptions>();
  CLI::App& command = add_command(
      batch_command, "run",
      {.summary = "answers every line of an OpenAI batch file, many at once; killed, the same "
                  "command goes on.",
       .usages = {"lockstep batch run IN.jsonl --out OUT.jsonl --model DIR [options]",
                  "mpirun -n 3 lockstep batch run IN.jsonl --out OUT.jsonl --model DIR"},
       .exit_status = "0 every line has ended, perhaps with an error; 64 wrong usage; 65 a bad "
                      "line (nothing was run), a bad store, or an --out of something else; 66 no "
                      "such file; 69 no such device, or another run writes --out; 74 I/O; 75 try "
                      "again; 130 interrupted."});
  add_text(command, "IN", options->input,
           "Lines of {\"custom_id\", \"method\": \"POST\", \"url\", \"body\"}.")
      ->required()
      ->type_name("FILE")
      ->group("Required");
  add_text(command, "--out", options->out,
           "A line for each of IN, in the order in which they end; what is there is kept.")
      ->required()
      ->type_name("FILE")
      ->group("Required");
  add_text(command, "--errors", options->errors, "Lines that end with an error. [--out]")
      ->type_name("FILE");
  add_text(command, "--leases", options->leases,
           "Share IN with other runs, each with an --out of its own: who has which lines stands in "
           "this folder, on a file system of all of them.")
      ->type_name("DIR");
  add_text(command, "--holder", options->holder,
           "With --leases: this run's name, the same when it is started again.")
      ->type_name("NAME");
  add_text(command, "--model-name", options->model_name,
           "What the lines call the model. [the folder's name]");
  add_replica_options(command, options->replica);
  add_integer(command, "--max-sequences", options->max_sequences, {1, 4096}, "Sequences at once.");
  add_integer(command, "--kv-blocks", options->kv_blocks, {1, 1 << 24},
              "KV cache, in blocks of 16 tokens. [2048, or one sequence of the whole context]");
  add_json_flag(command, context);
  set_action(command, context, [options, &context] { return run(*options, context); });
}

struct MergeOptions {
  std::string input;
  std::string from;
  std::string out;
};

Result<int> merge(const MergeOptions& options, const CommandContext& context) {
  LOCKSTEP_TRY_ASSIGN(const MergeFigures figures,
                      merge_results(options.input, options.from, options.out), "merge");
  if (context.json) {
    LOCKSTEP_TRY(print_json({{"out", options.out},
                             {"lines", figures.lines},
                             {"missing", figures.missing},
                             {"repeated", figures.repeated},
                             {"files", figures.files}}),
                 "result");
  } else {
    std::fprintf(stderr, "%u lines from %u files, %u missing, %u that came twice\n", figures.lines,
                 figures.files, figures.missing, figures.repeated);
  }
  return figures.missing == 0 ? 0 : kTryAgainStatus;
}

void add_batch_merge_command(CLI::App& batch_command, CommandContext& context) {
  const auto options = std::make_shared<MergeOptions>();
  CLI::App& command = add_command(
      batch_command, "merge",
      {.summary = "puts the results of several runs of one batch into one file, one line each.",
       .usages = {"lockstep batch merge IN.jsonl --from DIR --out OUT.jsonl"},
       .exit_status = "0 every line of IN has its result; 64 wrong usage; 65 a damaged file, or "
                      "two results of a line differ; 66 no such file; 74 I/O; 75 lines are "
                      "missing, the rest was written."});
  add_text(command, "IN", options->input, "The batch.")
      ->required()
      ->type_name("FILE")
      ->group("Required");
  add_text(command, "--from", options->from, "Where the runs wrote out-*.jsonl.")
      ->required()
      ->type_name("DIR")
      ->group("Required");
  add_text(command, "--out", options->out, "Replaced as a whole; in the order of IN.")
      ->required()
      ->type_name("FILE")
      ->group("Required");
  add_json_flag(command, context);
  set_action(command, context, [options, &context] { return merge(*options, context); });
}

}  // namespace

void add_batch_command(CLI::App& root, CommandContext& context) {
  CLI::App& command =
      add_command(root, "batch",
                  {.summary = "answers files of requests without a server.",
                   .usages = {"lockstep batch run IN.jsonl --out OUT.jsonl --model DIR [options]",
                              "lockstep batch merge IN.jsonl --from DIR --out OUT.jsonl"}});
  command.require_subcommand(1);
  add_batch_run_command(command, context);
  add_batch_merge_command(command, context);
}

}  // namespace lockstep
