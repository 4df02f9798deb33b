#include "cli/bench/batch.h"

#include <algorithm>
#include <cstdio>
#include <set>

#include "base/clock.h"
#include "cli/bench/speed.h"
#include "cli/generation.h"
#include "cli/interrupt.h"
#include "cli/output.h"
#include "worker/leader.h"

namespace lockstep {
namespace {

struct BatchTimes {
  int threads = 1;
  int sequences = 0;
  double prompt_s = 0;  // Until every sequence has its first token.
  double total_s = 0;
};

// `salt` makes the prompts new. One token more than asked for: the last one is sampled, but
// its own pass never runs, and llama-batched-bench counts passes.
Status add_requests(Leader& leader, const BatchOptions& options, int sequences, int salt) {
  const int vocab = leader.rank().manifest().config.vocab_size;
  for (int i = 0; i < sequences; ++i) {
    Request request;
    request.prompt = made_up_prompt(options.prompt_size, vocab, salt + i);
    request.sampling.max_completion_tokens =
        static_cast<std::uint32_t>(options.completion_size + 1);
    request.sampling.trace = TraceKind::kTokens;
    LOCKSTEP_TRY(leader.add(std::move(request)), "sequence " + std::to_string(i));
  }
  return {};
}

Result<BatchTimes> time_batch(Leader& leader, const BatchOptions& options, int sequences,
                              int salt) {
  LOCKSTEP_TRY(add_requests(leader, options, sequences, salt), "batch");
  const auto completion = static_cast<std::size_t>(options.completion_size) + 1;
  const std::int64_t start_ns = system_clock().monotonic_ns();
  const auto elapsed_s = [&] {
    return static_cast<double>(system_clock().monotonic_ns() - start_ns) * 1e-9;
  };
  BatchTimes times;
  times.sequences = sequences;
  std::set<SequenceId> started;
  std::vector<SequenceId> done;
  while (!leader.idle()) {
    if (Interrupt::requested()) return Error{ErrorCode::kAborted, "interrupted"};
    LOCKSTEP_TRY_ASSIGN(const std::vector<SequenceEvent> events, leader.step(), "step");
    for (const SequenceEvent& event : events) {
      if (!event.status.ok()) return event.status.error();
      started.insert(event.sequence);
      if (event.finished) done.push_back(event.sequence);
    }
    const bool all_started = started.size() == static_cast<std::size_t>(sequences);
    if (times.prompt_s == 0 && all_started) times.prompt_s = elapsed_s();
  }
  times.total_s = elapsed_s();
  for (const SequenceId id : done) {
    if (leader.take(id).token_ids.size() != completion) {
      return Error{ErrorCode::kInvalidArgument,
                   "the context has not room for the case; raise --ctx-size"};
    }
  }
  return times;
}

OrderedJson row_json(const BatchOptions& options, const ReplicaSession& session,
                     const BatchTimes& times) {
  const double prompt_tokens = 1.0 * times.sequences * options.prompt_size;
  const double generated = 1.0 * times.sequences * options.completion_size;
  const double generate_s = times.total_s - times.prompt_s;
  OrderedJson json;
  json["n_batch"] = options.replica.chunk_tokens;
  json["n_threads"] = times.threads;
  json["pp"] = options.prompt_size;
  json["tg"] = options.completion_size;
  json["pl"] = times.sequences;
  json["n_kv"] = times.sequences * (options.prompt_size + options.completion_size);
  json["t_pp"] = times.prompt_s;
  json["speed_pp"] = prompt_tokens / times.prompt_s;
  json["t_tg"] = generate_s;
  json["speed_tg"] = generate_s > 0 ? generated / generate_s : 0.0;
  json["t"] = times.total_s;
  json["speed"] = (prompt_tokens + generated) / times.total_s;
  json["model_filename"] = options.replica.model;
  json["ranks"] = session.world_size();
  json["activation_bits"] = session.store().manifest().config.activation_bits;
  json["kv_bits"] = session.store().manifest().config.kv_bits;
  return json;
}

std::string markdown_text(const std::vector<OrderedJson>& rows) {
  std::string text =
      "| threads | PP | TG | B | N_KV | T_PP s | S_PP t/s | T_TG s | S_TG t/s | T s | S t/s |\n"
      "| ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: |\n";
  for (const OrderedJson& row : rows) {
    for (const char* key : {"n_threads", "pp", "tg", "pl", "n_kv"}) {
      text += "| " + std::to_string(row[key].get<int>()) + " ";
    }
    for (const char* key : {"t_pp", "speed_pp", "t_tg", "speed_tg", "t", "speed"}) {
      char cell[32];
      (void)std::snprintf(cell, sizeof cell, *key == 't' ? "| %.3f " : "| %.2f ",
                          row[key].get<double>());
      text += cell;
    }
    text += "|\n";
  }
  return text;
}

Status print_batches(const std::vector<OrderedJson>& rows, const std::string& format) {
  if (format == "md") return print_text(markdown_text(rows));
  if (format == "json") return print_json(OrderedJson(rows));
  std::string text;
  for (const OrderedJson& row : rows) text += row.dump() + "\n";
  return print_text(text);
}

}  // namespace

Result<int> run_batch(const BatchOptions& options, bool json) {
  ReplicaOptions replica = options.replica;
  if (replica.context_tokens == 0) {
    replica.context_tokens =
        static_cast<std::uint32_t>(options.prompt_size + options.completion_size + 1);
  }
  LOCKSTEP_TRY_ASSIGN(const auto session, ReplicaSession::open(replica), "bench batch");
  session->set_reuse_prefixes(false);
  std::vector<int> threads = options.threads;
  if (threads.empty()) threads = {std::max(1, available_cores() / session->world_size())};
  std::vector<OrderedJson> rows;
  for (const int count : threads) {
    session->set_threads(count);
    LOCKSTEP_TRY(session->load(Status(), std::ranges::max(options.sequences)), "bench batch");
    if (!session->leads()) {
      LOCKSTEP_TRY(session->follow(), "rank");
      continue;
    }
    for (const int sequences : options.sequences) {
      Leader leader(session->rank(), nullptr);
      // A first batch of one pays for first touches.
      LOCKSTEP_TRY(time_batch(leader, options, 1, 0), "warm-up");
      LOCKSTEP_TRY_ASSIGN(BatchTimes times, time_batch(leader, options, sequences, 1),
                          "--sequences " + std::to_string(sequences));
      times.threads = count;
      rows.push_back(row_json(options, *session, times));
    }
    session->unload();
  }
  if (session->leads()) {
    LOCKSTEP_TRY(print_batches(rows, json ? "json" : options.format), "result");
  }
  return 0;
}

}  // namespace lockstep
