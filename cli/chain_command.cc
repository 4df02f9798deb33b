// `lockstep chain verify` and `lockstep chain prove`: what a ledger says, whether it holds, and the
// proof of one job.
#include <algorithm>
#include <memory>
#include <optional>
#include <string>

#include "base/clock.h"
#include "chainbridge/inclusion_proof.h"
#include "chainbridge/ledger_verifier.h"
#include "chainbridge/rerun.h"
#include "cli/command.h"
#include "cli/interrupt.h"
#include "cli/options.h"
#include "cli/output.h"
#include "cli/rerun_engine.h"

namespace lockstep {
namespace {

struct VerifyOptions {
  std::string directory;
  std::optional<std::string> rerun;  // A count, or "all".
  std::optional<std::string> model;
  ReplicaOptions replica;
};

struct ProveOptions {
  std::string directory;
  std::string job;
};

// What re-execution found. All of it was confirmed: a job that was not is an error.
struct Rerun {
  std::vector<std::uint64_t> jobs;  // Indices into the report's jobs.
  std::uint64_t tokens = 0;
  double seconds = 0;
};

Result<std::uint64_t> rerun_count(const std::string& text) {
  if (text == "all") return UINT64_MAX;
  const auto count = parse_integer<std::uint64_t>(text, {1, UINT64_MAX});
  if (count.ok()) return count;
  return Error{ErrorCode::kInvalidArgument,
               "--rerun: expected a number of jobs from 1 on, or all, got \"" + text + "\""};
}

// One error for all jobs that were not confirmed: the first in full, of the others their number.
Status verdict(const std::vector<RerunVerdict>& verdicts) {
  const auto refused = [](const RerunVerdict& v) { return !v.status.ok(); };
  const auto first = std::find_if(verdicts.begin(), verdicts.end(), refused);
  if (first == verdicts.end()) return {};
  const auto count = std::count_if(first, verdicts.end(), refused);
  Error error = first->status.error();
  if (count > 1) {
    error.message += "; " + std::to_string(count) + " of " + std::to_string(verdicts.size()) +
                     " jobs are not confirmed";
  }
  return error;
}

// The longest context limit of the jobs; 0 when one has none.
Result<std::uint32_t> context_of(const LedgerReport& report,
                                 const std::vector<std::uint64_t>& jobs) {
  std::uint32_t longest = 0;
  for (const std::uint64_t index : jobs) {
    LOCKSTEP_TRY_ASSIGN(const RecordedJob job, load_job(report, report.jobs[index]), "rerun");
    const std::uint32_t limit = job.assignment.sampling.context_limit;
    if (limit == 0) return 0U;
    longest = std::max(longest, limit);
  }
  return longest;
}

// A model that none of the jobs was run with is refused before it is loaded.
Status check_model(const LedgerReport& report, const std::vector<std::uint64_t>& jobs,
                   const std::string& directory) {
  LOCKSTEP_TRY_ASSIGN(const Store store, Store::open(directory), "--model");
  for (const std::uint64_t index : jobs) {
    const AssignedJob& job = report.jobs[index].assigned;
    if (job.model_id == store.manifest().model_id) continue;
    return Error{ErrorCode::kInvalidArgument, "--model: " + directory + " is model " +
                                                  store.manifest().model_id.hex() + ", job " +
                                                  std::to_string(job.sequence) +
                                                  " was run with model " + job.model_id.hex()};
  }
  return {};
}

Result<Rerun> rerun(const VerifyOptions& options, const LedgerReport& report, std::uint64_t count) {
  const std::int64_t start_ns = system_clock().monotonic_ns();
  Rerun done;
  done.jobs = select_jobs(report, count);
  if (done.jobs.empty()) return done;
  LOCKSTEP_TRY(check_model(report, done.jobs, *options.model), "rerun");
  LOCKSTEP_TRY_ASSIGN(const std::uint32_t context_tokens, context_of(report, done.jobs), "rerun");
  const Interrupt interrupt;
  ReplicaOptions replica = options.replica;
  replica.model = *options.model;
  LOCKSTEP_TRY_ASSIGN(const auto engine, RerunEngine::open(replica, context_tokens), "rerun");
  const RerunFunction run = [&](const RecordedJob& job) {
    done.tokens += job.assigned.prompt_tokens;
    if (job.result) done.tokens += job.result->completion_ids.size();
    return engine->run(job);
  };
  LOCKSTEP_TRY(verdict(rerun_jobs(report, done.jobs, engine->model_id(), run)), "rerun");
  done.seconds = static_cast<double>(system_clock().monotonic_ns() - start_ns) * 1e-9;
  return done;
}

OrderedJson report_json(const LedgerReport& report, const std::optional<Rerun>& done) {
  OrderedJson json;
  json["ledger"] = report.directory;
  json["ledger_id"] = report.ledger_id.hex();
  json["head"] = report.head.hex();
  json["records"] = report.num_records;
  json["bytes"] = report.num_bytes;
  json["torn_bytes"] = report.torn_bytes;
  json["jobs"] = report.jobs.size();
  json["finished"] = report.num_finished();
  json["rollups"] = report.rollups.size();
  json["pending"] = report.pending.size();
  json["unfinished"] = OrderedJson::array();
  for (const LedgerJob& job : report.jobs) {
    if (!job.finished) json["unfinished"].push_back(job.assigned.sequence);
  }
  json["rerun"] = OrderedJson::array();
  if (done) {
    for (const std::uint64_t index : done->jobs) {
      json["rerun"].push_back(report.jobs[index].assigned.sequence);
    }
  }
  json["verified"] = true;
  return json;
}

std::string report_text(const LedgerReport& report, const std::optional<Rerun>& done) {
  const std::uint64_t finished = report.num_finished();
  const std::uint64_t unfinished = report.jobs.size() - finished;
  std::vector<std::vector<std::string>> rows = {
      {"ledger", report.directory},
      {"id", report.ledger_id.hex()},
      {"head", report.head.hex()},
      {"records", grouped_digits(report.num_records) + " in " + human_bytes(report.num_bytes)},
      {"jobs",
       grouped_digits(finished) + " finished, " + grouped_digits(unfinished) + " unfinished"},
      {"rollups", grouped_digits(report.rollups.size()) + ", " +
                      grouped_digits(report.pending.size()) + " results wait for the next"}};
  if (report.torn_bytes > 0) {
    rows.push_back({"torn", human_bytes(report.torn_bytes) +
                                " behind the last record: a crash, or a writer at work; the next "
                                "run cuts them off"});
  }
  if (done) {
    rows.push_back({"rerun", grouped_digits(done->jobs.size()) + " of " + grouped_digits(finished) +
                                 " jobs, " + grouped_digits(done->tokens) + " tokens in " +
                                 human_seconds(done->seconds) + ": the same answers"});
  }
  return format_table(rows, "") +
         "verified: hash chain, identifiers, rollup roots, links and proofs hold\n";
}

Result<int> verify(const VerifyOptions& options, const CommandContext& context) {
  std::uint64_t count = 0;
  if (options.rerun) {
    LOCKSTEP_TRY_ASSIGN(count, rerun_count(*options.rerun), "options");
    if (!options.model) {
      return Error{ErrorCode::kInvalidArgument,
                   "--rerun: needs --model DIR, the store to run with"};
    }
  }
  LOCKSTEP_TRY_ASSIGN(const LedgerReport report, verify_ledger(options.directory), "ledger");
  std::optional<Rerun> done;
  if (options.rerun) {
    LOCKSTEP_TRY_ASSIGN(done, rerun(options, report, count), options.directory);
  }
  if (context.json) {
    LOCKSTEP_TRY(print_json(report_json(report, done)), "result");
  } else {
    LOCKSTEP_TRY(print_text(report_text(report, done)), "result");
  }
  return 0;
}

std::string proof_text(const InclusionProof& proof) {
  std::vector<std::vector<std::string>> rows = {
      {"job_id", proof.leaf.job_id.hex()},
      {"spec_hash", proof.leaf.spec_hash.hex()},
      {"result_hash", proof.leaf.result_hash.hex()},
      {"output_hash", proof.receipt.output_hash.hex()},
      {"trace_root", proof.leaf.trace_root.hex()},
      {"completed_at", std::to_string(proof.leaf.completed_at)},
      {"leaf", std::to_string(proof.leaf.index) + " of " + std::to_string(proof.header.count) +
                   ", " + rollup_leaf_hash(proof.leaf).hex()}};
  for (std::size_t i = 0; i < proof.proof.size(); ++i) {
    rows.push_back({i == 0 ? "proof" : "", proof.proof[i].hex()});
  }
  rows.push_back({"root", proof.header.root.hex()});
  rows.push_back({"rollup", std::to_string(proof.header.sequence) + ", header " +
                                rollup_header_hash(proof.header).hex()});
  return format_table(rows, "") + "holds; --json prints all that is needed to check it\n";
}

Result<int> prove(const ProveOptions& options, const CommandContext& context) {
  LOCKSTEP_TRY_ASSIGN(const LedgerReport report, verify_ledger(options.directory), "ledger");
  LOCKSTEP_TRY_ASSIGN(const LedgerJob* job, find_job(report, options.job), options.directory);
  LOCKSTEP_TRY_ASSIGN(const InclusionProof proof, prove_job(report, *job), options.directory);
  LOCKSTEP_TRY(verify_inclusion_proof(proof), options.directory);
  if (context.json) {
    LOCKSTEP_TRY(print_json(OrderedJson::parse(inclusion_proof_json(proof).dump())), "result");
  } else {
    LOCKSTEP_TRY(print_text(proof_text(proof)), "result");
  }
  return 0;
}

void add_verify_command(CLI::App& chain, CommandContext& context) {
  const auto options = std::make_shared<VerifyOptions>();
  CLI::App& command = add_command(
      chain, "verify",
      {.summary = "checks a ledger's hash chain, every identifier, rollup root and proof, and runs "
                  "jobs again.",
       .usages = {"lockstep chain verify DIR",
                  "lockstep chain verify DIR --rerun all --model STORE"},
       .exit_status = "0 all holds; 64 wrong usage, or another model; 65 something does not hold "
                      "(record or job are named); 66 no such ledger; 70 a bug; 74 I/O; 130 "
                      "interrupted."});
  add_text(command, "DIR", options->directory, "A ledger written by `lockstep run --ledger`.")
      ->required()
      ->group("Required");
  const std::string group = "Running again";
  add_text(command, "--rerun", options->rerun,
           "Run this many finished jobs again, chosen by the ledger's head, or all, and compare "
           "tokens, digests and hashes. [none]")
      ->type_name("K|all")
      ->group(group);
  add_text(command, "--model", options->model, "The store that the jobs were run with.")
      ->type_name("DIR")
      ->group(group);
  add_integer(command, "--ranks", options->replica.ranks, {1, 4096},
              "Threads of this process that share the model as ranks; any number gives the same "
              "answer. [1]")
      ->group(group);
  add_integer(command, "--threads", options->replica.threads, {1, 1024},
              "Compute threads per rank. [cores of the affinity mask / ranks]")
      ->group(group);
  add_text(command, "--device", options->replica.device,
           "auto, cuda, cpu, cpu:reference, cpu:avx2 or cpu:avx512vnni; any gives the same answer.")
      ->type_name("NAME")
      ->group(group);
  add_json_flag(command, context);
  set_action(command, context, [options, &context] { return verify(*options, context); });
}

void add_prove_command(CLI::App& chain, CommandContext& context) {
  const auto options = std::make_shared<ProveOptions>();
  CLI::App& command = add_command(
      chain, "prove",
      {.summary = "prints the proof that a finished job is in a rollup.",
       .usages = {"lockstep chain prove DIR JOB --json"},
       .exit_status = "0 done; 64 wrong usage; 65 the ledger does not hold; 66 no such ledger or "
                      "job; 69 the job has no rollup yet; 70 a bug; 74 I/O."});
  add_text(command, "DIR", options->directory, "A ledger written by `lockstep run --ledger`.")
      ->required()
      ->group("Required");
  add_text(command, "JOB", options->job,
           "A job id (64 hexadecimal digits), or the number of the assignment's record.")
      ->required()
      ->group("Required");
  add_json_flag(command, context);
  set_action(command, context, [options, &context] { return prove(*options, context); });
}

}  // namespace

void add_chain_command(CLI::App& root, CommandContext& context) {
  CLI::App& chain = add_command(
      root, "chain",
      {.summary = "checks a ledger and proves what is in it.",
       .usages = {"lockstep chain verify DIR [options]", "lockstep chain prove DIR JOB"}});
  chain.require_subcommand(1);
  add_verify_command(chain, context);
  add_prove_command(chain, context);
}

}  // namespace lockstep
