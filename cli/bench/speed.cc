#include "cli/bench/speed.h"

#include <algorithm>

#include "base/checked.h"
#include "base/clock.h"
#include "cli/bench/bench_report.h"
#include "cli/bench/model_figures.h"
#include "cli/generation.h"
#include "cli/interrupt.h"
#include "worker/leader.h"

namespace lockstep {
namespace {

// One case: a prompt of n_prompt tokens or n_gen single tokens, behind n_depth tokens of context.
struct Case {
  int n_prompt = 0;
  int n_gen = 0;
  int n_depth = 0;
};

BenchRow row_of(const SpeedOptions& options, ReplicaSession& session, int threads) {
  const Manifest& manifest = session.store().manifest();
  BenchRow row;
  row.model_filename = options.replica.model;
  row.figures = figures_of(manifest);
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

// Steps until `id` has its first token.
Status run_until_first_token(Leader& leader) {
  while (!leader.idle()) {
    if (Interrupt::requested()) return Error{ErrorCode::kAborted, "interrupted"};
    LOCKSTEP_TRY_ASSIGN(const std::vector<SequenceEvent> events, leader.step(), "step");
    for (const SequenceEvent& event : events) {
      if (!event.status.ok()) return event.status;
      if (event.token) return {};
    }
  }
  return {};
}

// Runs one request in a leader that keeps its context's keys and values for the next. `salt` makes
// what is measured new to it.
//
// A prompt ends with its first sampled token, as llama-bench's. A generation without depth starts
// from one token, so that each of its steps is a decode; with depth its first token ends the
// context and is not measured.
Result<std::uint64_t> time_once(Leader& leader, const Case& c, int salt) {
  const int vocab = leader.rank().manifest().config.vocab_size;
  Request request;
  request.sampling.trace = TraceKind::kTokens;
  request.prompt = made_up_prompt(c.n_depth, vocab);
  const bool behind_context = c.n_prompt == 0 && c.n_depth > 0;
  if (!behind_context) {
    const auto tail = made_up_prompt(std::max(c.n_prompt, 1), vocab, 1 + salt);
    request.prompt.insert(request.prompt.end(), tail.begin(), tail.end());
  }
  const auto expected = static_cast<std::size_t>(std::max(c.n_gen, 1) + (behind_context ? 1 : 0));
  request.sampling.max_completion_tokens = static_cast<std::uint32_t>(expected);
  LOCKSTEP_TRY_ASSIGN(const SequenceId id, leader.add(std::move(request)), "bench");
  if (behind_context) LOCKSTEP_TRY(run_until_first_token(leader), "context");
  const std::int64_t start_ns = system_clock().monotonic_ns();
  LOCKSTEP_TRY(run_until_idle(leader), "bench");
  const std::int64_t end_ns = system_clock().monotonic_ns();
  if (leader.take(id).token_ids.size() != expected) {
    return Error{ErrorCode::kInvalidArgument,
                 "the context has not room for the case; raise --ctx-size"};
  }
  return static_cast<std::uint64_t>(end_ns - start_ns);
}

Status bench_case(const SpeedOptions& options, ReplicaSession& session, const Case& c,
                  BenchRow& row) {
  Leader leader(session.rank(), nullptr);
  row.n_prompt = c.n_prompt;
  row.n_gen = c.n_gen;
  row.n_depth = c.n_depth;
  if (c.n_depth > 0) {
    LOCKSTEP_TRY(time_once(leader, {.n_gen = 1, .n_depth = c.n_depth}, 0), "context");
  }
  if (options.warm_up) {
    Case warm_up = c;
    warm_up.n_gen = std::min(c.n_gen, 8);
    LOCKSTEP_TRY(time_once(leader, warm_up, 0), "warm-up");
  }
  for (int i = 0; i < options.repetitions; ++i) {
    LOCKSTEP_TRY_ASSIGN(const std::uint64_t ns, time_once(leader, c, 1 + i), "run");
    row.samples_ns.push_back(ns);
  }
  return {};
}

std::vector<Case> cases_of(const SpeedOptions& options) {
  std::vector<Case> cases;
  for (const int depth : options.depths) {
    for (const int n : options.prompt_sizes) {
      if (n > 0) cases.push_back({.n_prompt = n, .n_depth = depth});
    }
    for (const int n : options.completion_sizes) {
      if (n > 0) cases.push_back({.n_gen = n, .n_depth = depth});
    }
  }
  return cases;
}

// Prompts behind a context find it in the prefix cache, which holds whole blocks.
Status check_depths(const SpeedOptions& options) {
  const bool prompts = std::ranges::any_of(options.prompt_sizes, [](int n) { return n > 0; });
  for (const int depth : options.depths) {
    if (prompts && depth % kBlockTokens != 0) {
      return Error{ErrorCode::kInvalidArgument,
                   "--n-depth: with --n-prompt expected a multiple of " +
                       std::to_string(kBlockTokens) + ", got " + std::to_string(depth)};
    }
  }
  return {};
}

}  // namespace

std::vector<std::uint32_t> made_up_prompt(int count, int vocab_size, int salt) {
  std::vector<std::uint32_t> ids;
  for (int i = 0; i < count; ++i) {
    const std::int64_t number = std::int64_t{i} * 7919 + 17 + std::int64_t{salt} * 611953;
    ids.push_back(static_cast<std::uint32_t>(number % vocab_size));
  }
  return ids;
}

Result<int> run_speed(const SpeedOptions& options, bool json) {
  LOCKSTEP_TRY(check_depths(options), "bench");
  const std::vector<Case> cases = cases_of(options);
  const bool deep = std::ranges::any_of(options.depths, [](int depth) { return depth > 0; });
  LOCKSTEP_TRY_ASSIGN(const auto session, ReplicaSession::open(options.replica), "bench");
  session->set_reuse_prefixes(deep);
  std::vector<int> threads = options.threads;
  if (threads.empty()) threads = {std::max(1, available_cores() / session->world_size())};
  std::vector<BenchRow> rows;
  for (const int count : threads) {
    session->set_threads(count);
    LOCKSTEP_TRY(session->load(Status()), "bench");
    if (!session->leads()) {
      LOCKSTEP_TRY(session->follow(), "rank");
      continue;
    }
    for (const Case& c : cases) {
      rows.push_back(row_of(options, *session, count));
      LOCKSTEP_TRY(bench_case(options, *session, c, rows.back()), rows.back().test_name());
    }
    session->unload();
  }
  if (session->leads()) LOCKSTEP_TRY(print_rows(rows, json ? "json" : options.format), "result");
  return 0;
}

}  // namespace lockstep
