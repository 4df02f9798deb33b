#include "cli/generation.h"

#include <algorithm>

#include "base/check.h"
#include "base/clock.h"
#include "cli/interrupt.h"
#include "cli/options.h"

namespace lockstep {
namespace {

constexpr float kHuge = 1e30F;

Result<std::pair<std::uint32_t, float>> parse_bias(const std::string& text) {
  const std::size_t equals = text.find('=');
  if (equals == std::string::npos) {
    return Error{ErrorCode::kInvalidArgument,
                 "--logit-bias: expected ID=VALUE, got \"" + text + "\""};
  }
  LOCKSTEP_TRY_ASSIGN(const auto id,
                      parse_integer<std::uint32_t>(text.substr(0, equals), {0, UINT32_MAX}),
                      "--logit-bias");
  LOCKSTEP_TRY_ASSIGN(const auto value,
                      parse_number<float>(text.substr(equals + 1), {-kHuge, kHuge}),
                      "--logit-bias");
  return std::pair{id, value};
}

}  // namespace

void add_sampling_options(CLI::App& command, SamplingOptions& options) {
  const std::string group = "Generation";
  SamplingParams& p = options.params;
  const auto number = [&](const char* name, float& value, float min, float max, const char* text) {
    add_number(command, name, value, {min, max}, text)->group(group);
  };
  add_integer(command, "--max-tokens", p.max_completion_tokens, {1, 1U << 24},
              "Completion tokens at most; the context may end them earlier.")
      ->group(group);
  number("--temperature", p.temperature, 0, kHuge, "0 is greedy.");
  add_integer(command, "--top-k", p.top_k, {0U, UINT32_MAX}, "Keep the k likeliest tokens; 0: all.")
      ->group(group);
  number("--top-p", p.top_p, 1e-9F, 1, "Keep the likeliest tokens that sum to p, (0, 1]; 1: all.");
  number("--min-p", p.min_p, 0, 1, "Drop tokens less likely than p times the likeliest, [0, 1].");
  number("--repetition-penalty", p.repetition_penalty, 1e-9F, kHuge,
         "Over prompt and completion tokens, > 0; 1: off.");
  number("--frequency-penalty", p.frequency_penalty, -kHuge, kHuge,
         "Per occurrence in the completion; 0: off.");
  number("--presence-penalty", p.presence_penalty, -kHuge, kHuge,
         "For tokens in the completion; 0: off.");
  command
      .add_option("--logit-bias", options.logit_bias, "Added to a token's logit; may be repeated.")
      ->type_name("ID=VALUE")
      ->allow_extra_args(false)
      ->group(group);
  add_integer(command, "--seed", options.seed, {std::uint64_t{0}, UINT64_MAX},
              "Draws depend on (seed, position, choice) alone. [drawn and printed; 0 when greedy]")
      ->group(group);
  add_integer(command, "--choice-index", p.choice_index, {0U, UINT32_MAX},
              "Which of several answers to the same request.")
      ->group(group);
  command.add_option("--stop", p.stop, "Ends the answer in front of this text; may be repeated.")
      ->type_name("TEXT")
      ->allow_extra_args(false)
      ->group(group);
  add_flag(command, "--ignore-eos", p.ignore_eos, "Go on after an end token.")->group(group);
  add_choice(command, "--trace", options.trace, {"tokens", "logits", "layers"},
             "What the result's trace covers; layers: logits, and prints digests of every layer.")
      ->group(group);
}

Result<SamplingParams> sampling_params(const SamplingOptions& options, Random& random) {
  SamplingParams params = options.params;
  if (options.seed) {
    params.seed = *options.seed;
  } else if (params.temperature > 0) {
    random.fill({reinterpret_cast<std::uint8_t*>(&params.seed), sizeof params.seed});
  }
  params.trace = options.trace == "tokens" ? TraceKind::kTokens : TraceKind::kLogits;
  for (const std::string& text : options.logit_bias) {
    LOCKSTEP_TRY_ASSIGN(const auto bias, parse_bias(text), "sampling");
    params.logit_bias.push_back(bias);
  }
  std::ranges::sort(params.logit_bias);
  for (std::size_t i = 1; i < params.logit_bias.size(); ++i) {
    if (params.logit_bias[i].first == params.logit_bias[i - 1].first) {
      return Error{ErrorCode::kInvalidArgument,
                   "--logit-bias: token " + std::to_string(params.logit_bias[i].first) + " twice"};
    }
  }
  for (const std::string& stop : params.stop) {
    if (stop.empty()) return Error{ErrorCode::kInvalidArgument, "--stop: expected text, got \"\""};
  }
  return params;
}

double Generation::prefill_tokens_per_s() const {
  const auto computed = static_cast<double>(completion.prompt_tokens - completion.cached_tokens);
  return first_token_s > 0 ? computed / first_token_s : 0;
}

double Generation::decode_tokens_per_s() const {
  const double seconds = total_s - first_token_s;
  const auto decoded = static_cast<double>(completion.token_ids.size()) - 1;
  return decoded > 0 && seconds > 0 ? decoded / seconds : 0;
}

Result<Generation> generate(Leader& leader, Request request,
                            const std::function<void(const std::string& text)>& show) {
  const Clock& clock = system_clock();
  LOCKSTEP_TRY_ASSIGN(const SequenceId id, leader.add(std::move(request)), "request");
  Generation generation;
  const std::int64_t start_ns = clock.monotonic_ns();
  const auto seconds = [&] { return static_cast<double>(clock.monotonic_ns() - start_ns) * 1e-9; };
  std::size_t tokens = 0;
  for (bool finished = false; !finished;) {
    if (Interrupt::requested()) {
      leader.cancel(id);
      generation.interrupted = true;
      break;
    }
    LOCKSTEP_TRY_ASSIGN(std::vector<SequenceEvent> events, leader.step(), "step");
    for (SequenceEvent& event : events) {
      CHECK(event.sequence == id, "an event of another sequence");
      if (!event.status.ok()) return std::move(event.status).error();
      if (event.token && tokens++ == 0) generation.first_token_s = seconds();
      if (show && !event.text.empty()) show(event.text);
      finished = event.finished;
    }
  }
  generation.total_s = seconds();
  generation.completion = leader.take(id);
  return generation;
}

Status run_until_idle(Leader& leader) {
  while (!leader.idle()) {
    if (Interrupt::requested()) return Error{ErrorCode::kAborted, "interrupted"};
    LOCKSTEP_TRY_ASSIGN(const std::vector<SequenceEvent> events, leader.step(), "step");
    for (const SequenceEvent& event : events) {
      if (!event.status.ok()) return event.status;
    }
  }
  return {};
}

Assignment make_assignment(const Manifest& manifest, const Request& request,
                           const std::vector<RankReport>& ranks, std::string_view device) {
  Assignment assignment;
  assignment.model_id = manifest.model_id;
  assignment.prompt_ids = request.prompt;
  assignment.sampling = request.sampling;
  for (const RankReport& rank : ranks) {
    assignment.ranks.push_back({static_cast<std::uint32_t>(rank.parts.begin),
                                static_cast<std::uint32_t>(rank.parts.size()),
                                std::string(device)});
  }
  return assignment;
}

JobResult make_result(const Completion& completion, std::uint64_t assignment) {
  JobResult result;
  result.assignment = assignment;
  result.completion_ids = completion.token_ids;
  result.finish_reason = completion.finish_reason;
  for (const TraceStep& step : completion.trace) {
    if (!step.logits_digest.is_zero()) result.token_digests.push_back(step.logits_digest);
  }
  return result;
}

}  // namespace lockstep
