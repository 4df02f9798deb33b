// `lockstep submit`: a service or an offline batch as a Slurm job.
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <filesystem>
#include <fstream>
#include <sstream>

#include "base/config.h"
#include "base/file.h"
#include "base/log.h"
#include "cli/command.h"
#include "cli/options.h"
#include "cli/output.h"
#include "cli/slurm/job_script.h"
#include "cli/slurm/job_templates.h"
#include "cli/slurm/run_program.h"
#include "cli/slurm/submission.h"

namespace lockstep {
namespace {

constexpr int kSbatchMs = 60'000;
constexpr int kMaxRanks = 4096;

struct SubmitOptions {
  Submission submission;
  std::optional<int> threads;
  std::string device = "auto";
  std::uint32_t context_tokens = 0;
  std::optional<std::uint32_t> max_sequences;
  std::optional<int> kv_blocks;
  std::string sbatch;
  bool no_successor = false;
  bool no_checks = false;
  bool dry_run = false;
};

Result<std::string> absolute(const std::string& path, const std::string& option) {
  std::error_code error;
  const auto whole = std::filesystem::absolute(path, error).lexically_normal();
  if (error) return Error{ErrorCode::kInvalidArgument, option + ": " + error.message()};
  std::string text = whole.string();
  while (text.size() > 1 && text.ends_with('/')) text.pop_back();
  return text;
}

std::vector<std::string> words_of(const std::string& text) {
  std::istringstream in(text);
  std::vector<std::string> words;
  for (std::string word; in >> word;) words.push_back(word);
  return words;
}

void add_worker_options(const SubmitOptions& options, std::vector<std::string>& words) {
  const auto add = [&words](const char* name, const std::string& value) {
    words.insert(words.end(), {name, value});
  };
  if (options.device != "auto") add("--device", options.device);
  if (options.threads) add("--threads", std::to_string(*options.threads));
  if (options.context_tokens != 0) add("--ctx-size", std::to_string(options.context_tokens));
  if (options.max_sequences) add("--max-sequences", std::to_string(*options.max_sequences));
  if (options.kv_blocks) add("--kv-blocks", std::to_string(*options.kv_blocks));
}

// Paths are made absolute, and what must be there is looked for, before anything is submitted.
Result<Submission> complete(const SubmitOptions& options) {
  Submission submission = options.submission;
  if (submission.model.empty()) {
    return Error{ErrorCode::kInvalidArgument, "--model: expected a store made by `lockstep shard`"};
  }
  LOCKSTEP_TRY_ASSIGN(submission.model, absolute(submission.model, "--model"), "submit");
  for (const auto& [path, option] :
       {std::pair{&submission.state, "--state"}, std::pair{&submission.registry, "--registry"},
        std::pair{&submission.batch, "--batch"}, std::pair{&submission.out, "--out"}}) {
    if (path->empty()) continue;
    LOCKSTEP_TRY_ASSIGN(*path, absolute(*path, option), "submit");
  }
  if (submission.batch.empty() != submission.out.empty()) {
    return Error{ErrorCode::kInvalidArgument, "--batch and --out: give both, or none"};
  }
  std::error_code error;
  submission.program = std::filesystem::read_symlink("/proc/self/exe", error).string();
  if (error) return Error{ErrorCode::kInternal, "/proc/self/exe: " + error.message()};
  submission.home = environment_variable("HOME").value_or("");
  if (submission.home.empty()) return Error{ErrorCode::kInvalidArgument, "HOME: is not set"};
  submission.has_successor = !options.no_successor;
  submission.has_checks = !options.no_checks;
  submission.sbatch = words_of(options.sbatch);
  if (submission.model_name.empty()) {
    submission.model_name = std::filesystem::path(submission.model).filename().string();
  }
  submission.gateway_options.insert(submission.gateway_options.end(),
                                    {"--model-name", submission.model_name});
  if (options.context_tokens != 0) {
    submission.gateway_options.insert(submission.gateway_options.end(),
                                      {"--ctx-size", std::to_string(options.context_tokens)});
  }
  add_worker_options(options, submission.worker_options);
  if (!submission.batch.empty()) {
    submission.worker_options.insert(submission.worker_options.end(),
                                     {"--model-name", submission.model_name});
  }
  return submission;
}

// Slurm writes the job's log where the script says; it does not make the folder.
Status make_folder(const std::string& path) {
  std::error_code error;
  std::filesystem::create_directories(std::filesystem::path(path).parent_path(), error);
  if (::mkdir(path.c_str(), 0700) == 0 || errno == EEXIST) return {};
  return system_error(errno, path, "create");
}

Result<std::string> run_sbatch(const std::string& script) {
  LOCKSTEP_TRY_ASSIGN(const ProgramOutput done,
                      run_program({"sbatch", "--parsable"}, script, kSbatchMs), "sbatch");
  if (done.status != 0) {
    return Error{ErrorCode::kUnavailable, "sbatch refused the job (status " +
                                              std::to_string(done.status) + "): " + done.error};
  }
  // "JOB" or "JOB;CLUSTER".
  return done.out.substr(0, done.out.find_first_of(";\n"));
}

Result<int> submit(const SubmitOptions& options, const CommandContext& context) {
  LOCKSTEP_TRY_ASSIGN(const SlurmSite site, read_site(), "site");
  LOCKSTEP_TRY_ASSIGN(Submission submission, complete(options), "submit");
  const std::string root =
      site.state_root.empty() ? submission.home + "/.lockstep" : site.state_root;
  if (submission.state.empty()) submission.state = root + "/" + submission.name;
  const std::string name = template_name(submission);
  LOCKSTEP_TRY_ASSIGN(const std::string text, read_template(site.templates, name), "template");
  LOCKSTEP_TRY_ASSIGN(const std::string script, job_script(submission, site, text), "script");
  if (options.dry_run) {
    LOCKSTEP_TRY(print_text(script), "script");
    return 0;
  }
  LOCKSTEP_TRY(make_folder(submission.batch.empty() ? submission.state : submission.out),
               submission.batch.empty() ? "--state" : "--out");
  LOCKSTEP_TRY_ASSIGN(const std::string job, run_sbatch(script), "submit");
  if (context.json) {
    LOCKSTEP_TRY(print_json({{"job", job}, {"state", submission.state}}), "result");
    return 0;
  }
  LOCKSTEP_TRY(print_text(job + "\n"), "result");
  return 0;
}

void add_job_options(CLI::App& command, SubmitOptions& options) {
  Submission& job = options.submission;
  const std::string group = "Job";
  add_text(command, "--name", job.name, "Of the job, and of its state directory.")->group(group);
  add_integer(command, "--nodes", job.nodes, {1, 65'536}, "Nodes. [1]")->group(group);
  add_list(command, "--ranks", job.ranks, {1, kMaxRanks},
           "Ranks of a replica; several numbers: of each replica.")
      ->type_name("N[,N...]")
      ->group(group);
  add_integer(command, "--replicas", job.replicas, {1, 1024}, "Copies of the model.")->group(group);
  add_integer(command, "--ranks-per-node", job.ranks_per_node, {1, 1024},
              "[all ranks / nodes, rounded up]")
      ->group(group);
  add_integer(command, "--cpus-per-rank", job.cpus_per_rank, {1, 4096}, "Processors of a rank.")
      ->group(group);
  add_integer(command, "--gpus-per-rank", job.gpus_per_rank, {0, 64}, "GPUs of a rank.")
      ->group(group);
  add_text(command, "--mem", job.memory, "Memory of a node, as sbatch takes it. [the partition's]")
      ->type_name("SIZE")
      ->group(group);
  add_text(command, "--time", job.time,
           "Limit; near it a successor takes over. [the partition's, without successor]")
      ->type_name("TIME")
      ->group(group);
  add_text(command, "--partition", job.partition, "[the site's]")->type_name("P")->group(group);
  add_text(command, "--account", job.account, "[the site's]")->type_name("A")->group(group);
  add_text(command, "--qos", job.qos, "[the site's]")->type_name("Q")->group(group);
  add_text(command, "--sbatch", options.sbatch, "More options of sbatch, with spaces between.")
      ->group(group);
  add_flag(command, "--no-successor", options.no_successor,
           "The service ends with this job's time.")
      ->group(group);
  add_flag(command, "--no-checks", options.no_checks, "Begin without `doctor --slurm`.")
      ->group(group);
}

void add_service_options(CLI::App& command, SubmitOptions& options) {
  Submission& job = options.submission;
  add_text(command, "--model-name", job.model_name, "What clients call it. [the folder's name]");
  add_text(command, "--state", job.state,
           "Accepted requests and keys, on a file system of all nodes. [~/.lockstep/NAME]")
      ->type_name("DIR");
  add_text(command, "--registry", job.registry,
           "Where jobs say how they are reached. [~/.lockstep/jobs]")
      ->type_name("DIR");
  add_integer(command, "--threads", options.threads, {1, 1024}, "As in `lockstep worker`.");
  add_text(command, "--device", options.device, "As in `lockstep run`.")->type_name("NAME");
  add_integer(command, "--ctx-size", options.context_tokens, {0, 1U << 24},
              "Tokens of prompt and answer; 0: the model's context.");
  add_integer(command, "--max-sequences", options.max_sequences, {1, 4096},
              "Sequences at once in a replica. [64]");
  add_integer(command, "--kv-blocks", options.kv_blocks, {1, 1 << 24}, "As in `lockstep worker`.");
  add_flag(command, "--dry-run", options.dry_run, "Print the job script, submit nothing.");
  const std::string group = "Offline batch, in place of a service";
  add_text(command, "--batch", job.batch, "Requests, as `lockstep batch run` takes them.")
      ->type_name("IN.jsonl")
      ->group(group);
  add_text(command, "--out", job.out, "Results, for `lockstep batch merge`.")
      ->type_name("DIR")
      ->group(group);
  add_integer(command, "--shards", job.shards, {1, 10'000}, "Tasks of the job array.")
      ->group(group);
}

}  // namespace

void add_submit_command(CLI::App& root, CommandContext& context) {
  const auto options = std::make_shared<SubmitOptions>();
  CLI::App& command = add_command(
      root, "submit",
      {.summary = "starts a service, or an offline batch, as a Slurm job.",
       .usages = {"lockstep submit --model DIR --nodes 4 --ranks 8 --replicas 2 --time 24:00:00 "
                  "[options]",
                  "lockstep submit --model DIR --batch IN.jsonl --out DIR --shards 16 [options]"},
       .exit_status = "0 submitted, its id is printed; 64 wrong usage, or what the site forbids; "
                      "66 no such file; 69 sbatch refused; 73 a folder cannot be made; 78 bad "
                      "site file."});
  add_text(command, "--model", options->submission.model,
           "A store made by `lockstep shard`, on a file system of all nodes.")
      ->type_name("DIR");
  add_job_options(command, *options);
  add_service_options(command, *options);
  add_json_flag(command, context);
  set_action(command, context, [options, &context] { return submit(*options, context); });
}

}  // namespace lockstep
