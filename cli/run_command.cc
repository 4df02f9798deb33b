// `lockstep run`: answers one prompt, on this machine or over MPI ranks, and says how to check it.
#include <cstdio>
#include <fstream>
#include <future>
#include <optional>

#include "base/checked.h"
#include "base/clock.h"
#include "base/random.h"
#include "chainbridge/ledger.h"
#include "cli/command.h"
#include "cli/generation.h"
#include "cli/interrupt.h"
#include "cli/options.h"
#include "cli/output.h"
#include "cli/prompt.h"
#include "cli/replica_session.h"
#include "worker/mpi_group.h"

namespace lockstep {
namespace {

struct RunOptions {
  ReplicaOptions replica;
  PromptOptions prompt;
  SamplingOptions sampling;
  std::string ledger;
  std::string dump_logits;
};

// What the run leaves behind besides the answer.
struct RunRecord {
  Generation generation;
  AssignedJob job;
  std::optional<ResultHashes> hashes;  // Not of an interrupted run.
  std::uint64_t seed = 0;
  Digest ledger_id;  // 0 without a ledger.
  std::vector<std::string> layer_digests;
  std::vector<RankReport> ranks;
};

constexpr int kInterruptedStatus = 130;

const char* finish_reason_name(const RunRecord& record) {
  if (record.generation.interrupted) return "cancelled";
  return record.generation.completion.finish_reason == FinishReason::kStop ? "stop" : "length";
}

// First 16 hexadecimal digits of SHA-256 over a layer's hidden state.
std::string layer_digest(std::span<const float> hidden) {
  return sha256({reinterpret_cast<const std::uint8_t*>(hidden.data()), hidden.size_bytes()})
      .hex()
      .substr(0, 16);
}

OrderedJson record_json(const RunRecord& record, std::string_view device) {
  const Completion& completion = record.generation.completion;
  OrderedJson json;
  json["text"] = completion.text;
  json["token_ids"] = completion.token_ids;
  json["token_digests"] = OrderedJson::array();
  for (const TraceStep& step : completion.trace) {
    json["token_digests"].push_back(step.logits_digest.hex());
  }
  const ResultHashes hashes = record.hashes.value_or(ResultHashes{});
  const auto hex = [&](const Digest& digest) {
    return record.hashes ? OrderedJson(digest.hex()) : OrderedJson();
  };
  json["output_hash"] = hex(hashes.output_hash);
  json["trace_root"] = hex(hashes.trace_root);
  json["result_hash"] = hex(hashes.result_hash);
  json["finish_reason"] = finish_reason_name(record);
  json["device"] = device;
  json["steps"] = completion.steps;
  json["computed_tokens"] = completion.computed_tokens;
  json["cached_tokens"] = completion.cached_tokens;
  json["ranks"] = OrderedJson::array();
  for (const RankReport& rank : record.ranks) {
    OrderedJson entry;
    entry["parts"] = OrderedJson::array({rank.parts.begin, rank.parts.end});
    entry["weight_bytes"] = rank.weight_bytes;
    entry["weight_bytes_read"] = rank.bytes_read;
    entry["multiply_adds"] = rank.multiply_adds;
    entry["linear_calls"] = rank.linear_calls;
    json["ranks"].push_back(entry);
  }
  json["prompt_tokens"] = completion.prompt_tokens;
  json["completion_tokens"] = completion.token_ids.size();
  json["time_to_first_token_s"] = record.generation.first_token_s;
  json["prefill_tokens_per_s"] = record.generation.prefill_tokens_per_s();
  json["decode_tokens_per_s"] = record.generation.decode_tokens_per_s();
  json["seed"] = record.seed;
  json["model_id"] = record.job.model_id.hex();
  json["spec_hash"] = record.job.spec_hash.hex();
  json["job_id"] = record.job.job_id.hex();
  if (!record.ledger_id.is_zero()) {
    json["ledger_id"] = record.ledger_id.hex();
    json["ledger_sequence"] = record.job.sequence;
  }
  if (!record.layer_digests.empty()) json["layer_digests"] = record.layer_digests;
  return json;
}

// Numbers and hashes for people, on stderr: stdout holds the answer alone.
void print_summary(const RunRecord& record, const RunOptions& options, std::string_view device) {
  const Generation& g = record.generation;
  const Completion& c = g.completion;
  std::fprintf(stderr, "\n\n%zu rank%s, %.*s; finish reason: %s\n", record.ranks.size(),
               record.ranks.size() == 1 ? "" : "s", static_cast<int>(device.size()), device.data(),
               finish_reason_name(record));
  std::fprintf(stderr, "prompt      %5u tokens  %8.1f tokens/s  (%u from cache)\n", c.prompt_tokens,
               g.prefill_tokens_per_s(), c.cached_tokens);
  std::fprintf(stderr, "completion  %5zu tokens  %8.1f tokens/s\n", c.token_ids.size(),
               g.decode_tokens_per_s());
  std::fprintf(stderr, "time to first token  %.3f s\n", g.first_token_s);
  if (options.sampling.params.temperature > 0) {
    std::fprintf(stderr, "seed         %llu\n", static_cast<unsigned long long>(record.seed));
  }
  if (record.hashes) {
    std::fprintf(stderr, "output_hash  %s\ntrace_root   %s\nresult_hash  %s\n",
                 record.hashes->output_hash.hex().c_str(), record.hashes->trace_root.hex().c_str(),
                 record.hashes->result_hash.hex().c_str());
  }
  if (!options.ledger.empty()) {
    std::fprintf(stderr, "ledger       %s, job %llu%s\n", options.ledger.c_str(),
                 static_cast<unsigned long long>(record.job.sequence),
                 record.hashes ? "" : " (unfinished)");
  }
  for (std::size_t i = 0; i < record.layer_digests.size(); ++i) {
    std::fprintf(stderr, "layer %3zu    %s\n", i, record.layer_digests[i].c_str());
  }
}

// Collects what `--dump-logits` and `--trace layers` ask for.
void attach_observers(const RunOptions& options, Request& request, Rank& rank, std::ofstream& dump,
                      std::vector<std::string>& layers) {
  if (dump.is_open()) {
    request.observe = [&dump](std::span<const float> logits) {
      dump.write(reinterpret_cast<const char*>(logits.data()),
                 static_cast<std::streamsize>(logits.size_bytes()));
    };
  }
  if (options.sampling.trace == "layers") {
    const auto num_layers = static_cast<std::size_t>(rank.manifest().config.num_layers);
    layers.resize(num_layers);
    // Only the step that computes the last prompt token counts: steps of chunks before it are
    // overwritten, decodes are left out.
    const std::size_t chunks =
        ceil_div(request.prompt.size(), static_cast<std::size_t>(options.replica.chunk_tokens));
    rank.runner().set_layer_hook([&layers, calls_left = chunks * num_layers](
                                     int layer, std::span<const float> hidden) mutable {
      if (calls_left == 0) return;
      --calls_left;
      layers[static_cast<std::size_t>(layer)] = layer_digest(hidden);
    });
  }
}

Result<RunRecord> run_request(const RunOptions& options, ReplicaSession& session,
                              const Tokenizer& tokenizer, Request request, bool stream) {
  Rank& rank = session.rank();
  Leader leader(rank, &tokenizer);
  request.sampling.context_limit = rank.config().context_tokens;
  RunRecord record;
  record.seed = request.sampling.seed;
  LOCKSTEP_TRY_ASSIGN(record.ranks, rank.lead_report(), "ranks");
  const Assignment assignment =
      make_assignment(session.store().manifest(), request, record.ranks, rank.device());

  std::optional<Ledger> ledger;
  if (options.ledger.empty()) {
    record.job = identify_assignment(assignment, Digest{}, 0);
  } else {
    LOCKSTEP_TRY_ASSIGN(ledger, Ledger::open(options.ledger, {}, system_random(), system_clock()),
                        "--ledger");
    record.ledger_id = ledger->ledger_id();
    LOCKSTEP_TRY_ASSIGN(record.job, ledger->append_assignment(assignment), "--ledger");
  }

  std::ofstream dump;
  if (!options.dump_logits.empty()) {
    dump.open(options.dump_logits, std::ios::binary | std::ios::trunc);
    if (!dump) {
      return Error{ErrorCode::kIo, "--dump-logits: cannot create " + options.dump_logits};
    }
  }
  attach_observers(options, request, rank, dump, record.layer_digests);
  Status shown;
  const auto show = [&shown](const std::string& text) {
    if (shown.ok()) shown = print_text(text);
  };
  LOCKSTEP_TRY_ASSIGN(record.generation,
                      generate(leader, std::move(request),
                               stream ? std::function<void(const std::string&)>(show) : nullptr),
                      "run");
  LOCKSTEP_TRY(std::move(shown), "answer");
  LOCKSTEP_TRY_ASSIGN(record.ranks, rank.lead_report(), "ranks");
  if (dump.is_open() && !dump.flush()) {
    return Error{ErrorCode::kIo, "--dump-logits: cannot write " + options.dump_logits};
  }
  if (!record.generation.interrupted) {
    const JobResult result = make_result(record.generation.completion, record.job.sequence);
    record.hashes = hash_result(record.job, result);
    if (ledger) {
      LOCKSTEP_TRY_ASSIGN(record.hashes, ledger->append_result(result), "--ledger");
    }
  }
  if (ledger) LOCKSTEP_TRY(ledger->close(), "--ledger");
  return record;
}

// What only rank 0 does before the model is loaded.
struct Prepared {
  std::optional<Tokenizer> tokenizer;
  Request request;
};

Result<Prepared> prepare(const RunOptions& options, const Store& store) {
  Prepared prepared;
  LOCKSTEP_TRY_ASSIGN(const std::string blob, store.read_blob(TensorKind::kTokenizer), "tokenizer");
  LOCKSTEP_TRY_ASSIGN(prepared.tokenizer, Tokenizer::from_json(blob), "tokenizer");
  LOCKSTEP_TRY_ASSIGN(prepared.request.sampling, sampling_params(options.sampling, system_random()),
                      "options");
  LOCKSTEP_TRY_ASSIGN(prepared.request.prompt,
                      encode_prompt_options(options.prompt, store, *prepared.tokenizer), "prompt");
  return prepared;
}

// Ranks of a launcher wait for the prompt: its error becomes everyone's. Alone, the tokenizer is
// read while the weights are, and an error stops the load.
Result<Prepared> prepare_and_load(const RunOptions& options, ReplicaSession& session) {
  const auto policy = started_by_mpi_launcher() ? std::launch::deferred : std::launch::async;
  auto preparing = std::async(policy, [&]() -> Result<Prepared> {
    if (!session.leads()) return Prepared{};
    auto prepared = prepare(options, session.store());
    if (!prepared.ok()) session.store().stop_loading();
    return prepared;
  });
  if (policy == std::launch::async) {
    const Status loaded = session.load(Status());
    auto prepared = preparing.get();
    if (prepared.ok() && !loaded.ok()) return loaded.error();
    return prepared;
  }
  auto prepared = preparing.get();
  const Status loaded = session.load(prepared.ok() ? Status() : Status(prepared.error()));
  if (!loaded.ok()) return loaded.error();
  return prepared;
}

Result<int> run(const RunOptions& options, const CommandContext& context) {
  const Interrupt interrupt;
  LOCKSTEP_TRY_ASSIGN(const auto session, ReplicaSession::open(options.replica), "run");
  LOCKSTEP_TRY_ASSIGN(Prepared prepared, prepare_and_load(options, *session), "run");
  if (!session->leads()) {
    LOCKSTEP_TRY(session->follow(), "rank");
    return 0;
  }
  LOCKSTEP_TRY_ASSIGN(const RunRecord record,
                      run_request(options, *session, *prepared.tokenizer,
                                  std::move(prepared.request), !context.json),
                      "run");
  const std::string_view device = session->rank().device();
  if (context.json) {
    LOCKSTEP_TRY(print_json(record_json(record, device)), "result");
  } else {
    print_summary(record, options, device);
  }
  return record.generation.interrupted ? kInterruptedStatus : 0;
}

}  // namespace

void add_run_command(CLI::App& root, CommandContext& context) {
  const auto options = std::make_shared<RunOptions>();
  CLI::App& command = add_command(
      root, "run",
      {.summary = "answers one prompt, on this machine or over MPI ranks.",
       .usages = {"lockstep run --model DIR --chat TEXT [options]",
                  "mpirun -n 3 lockstep run --model DIR --chat TEXT      (ranks from MPI; "
                  "srun --mpi=pmix alike)"},
       .exit_status = "0 done; 64 wrong usage; 65 bad store; 66 no such file; 69 no such device "
                      "or peer; 70 a bug; 75 try again; 130 interrupted."});
  add_prompt_options(command, options->prompt);
  add_replica_options(command, options->replica);
  add_sampling_options(command, options->sampling);
  add_text(command, "--ledger", options->ledger, "Record assignment and result in this ledger.")
      ->type_name("DIR");
  add_text(command, "--dump-logits", options->dump_logits,
           "Write the raw logits of every completion token, binary32 [tokens, vocabulary].")
      ->type_name("FILE");
  add_json_flag(command, context);
  set_action(command, context, [options, &context] { return run(*options, context); });
}

}  // namespace lockstep
