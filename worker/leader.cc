#include "worker/leader.h"

#include <algorithm>
#include <utility>

#include "base/check.h"

namespace lockstep {

struct Leader::Sequence {
  SequenceId id{};
  Request request;
  Completion completion;
  TokenCounts counts;
  std::optional<Detokenizer> detokenizer;
  StopMatcher stops;
  std::uint32_t max_completion = 0;  // After the context limit.
  bool ended = false;

  Sequence(SequenceId i, Request r, const Tokenizer* tokenizer)
      : id(i), request(std::move(r)), counts(request.prompt), stops(request.sampling.stop) {
    if (tokenizer != nullptr) detokenizer.emplace(*tokenizer);
    completion.prompt_tokens = static_cast<std::uint32_t>(request.prompt.size());
  }

  // The last token of the sequence, and its position.
  std::uint32_t last_token() const {
    return completion.token_ids.empty() ? request.prompt.back() : completion.token_ids.back();
  }
  std::uint32_t last_position() const {
    return completion.prompt_tokens + static_cast<std::uint32_t>(completion.token_ids.size()) - 1;
  }
};

namespace {

SchedulerConfig scheduler_config(const ReplicaConfig& config) {
  SchedulerConfig scheduler;
  scheduler.max_step_tokens = config.max_step_tokens;
  scheduler.chunk_tokens = config.chunk_tokens;
  scheduler.num_blocks = config.num_blocks;
  scheduler.reuse_prefixes = config.reuse_prefixes;
  return scheduler;
}

}  // namespace

Leader::Leader(Rank& rank, const Tokenizer* tokenizer)
    : rank_(rank), tokenizer_(tokenizer), scheduler_(scheduler_config(rank.config())) {}

Leader::~Leader() = default;

bool Leader::idle() const { return scheduler_.num_waiting() + scheduler_.num_running() == 0; }

Status Leader::check(const Request& request) const {
  const auto vocab = static_cast<std::uint32_t>(rank_.manifest().config.vocab_size);
  LOCKSTEP_TRY(validate(request.sampling, vocab), "request");
  if (request.prompt.empty()) {
    return Error{ErrorCode::kInvalidArgument, "the prompt has no tokens"};
  }
  for (const std::uint32_t token : request.prompt) {
    if (token >= vocab) {
      return Error{ErrorCode::kInvalidArgument, "prompt token " + std::to_string(token) +
                                                    " is not in the vocabulary of " +
                                                    std::to_string(vocab)};
    }
  }
  const std::uint32_t context = rank_.config().context_tokens;
  const std::size_t longest = request.score ? context : context - 1;
  if (request.prompt.size() > longest) {
    return Error{ErrorCode::kInvalidArgument,
                 "the prompt has " + std::to_string(request.prompt.size()) +
                     " tokens, the context of " + std::to_string(context) +
                     " leaves no room for an answer; shorten it or raise --ctx-size"};
  }
  if (!request.sampling.stop.empty() && tokenizer_ == nullptr) {
    return Error{ErrorCode::kInvalidArgument, "stop strings need a tokenizer"};
  }
  return {};
}

Result<SequenceId> Leader::add(Request request) {
  if (request.sampling.context_limit == 0) {
    request.sampling.context_limit = rank_.config().context_tokens;
  }
  LOCKSTEP_TRY(check(request), "refused");
  const SequenceId id{next_id_};
  auto sequence = std::make_unique<Sequence>(id, std::move(request), tokenizer_);
  const std::uint32_t prompt = sequence->completion.prompt_tokens;
  const std::uint32_t context =
      std::min(rank_.config().context_tokens, sequence->request.sampling.context_limit);
  if (prompt >= context && !sequence->request.score) {
    return Error{ErrorCode::kInvalidArgument, "refused: the request's context limit of " +
                                                  std::to_string(context) +
                                                  " leaves no room for an answer"};
  }
  if (!sequence->request.score) {
    sequence->max_completion =
        std::min(sequence->request.sampling.max_completion_tokens, context - prompt);
  }
  LOCKSTEP_TRY(scheduler_.add(id, sequence->request.prompt, prompt + sequence->max_completion,
                              static_cast<bool>(sequence->request.score)),
               "refused");
  ++next_id_;
  sequences_.emplace(id, std::move(sequence));
  return id;
}

void Leader::finish(Sequence& sequence, FinishReason reason, SequenceEvent& event) {
  if (sequence.detokenizer) event.text += sequence.stops.push(sequence.detokenizer->finish());
  event.text += sequence.stops.finish();
  event.finished = true;
  sequence.completion.finish_reason = reason;
}

// Samples from the logits behind the last token, and says what that means.
SequenceEvent Leader::advance(Sequence& sequence, std::span<const float> logits) {
  SequenceEvent event;
  event.sequence = sequence.id;
  Completion& completion = sequence.completion;
  const SamplingParams& sampling = sequence.request.sampling;
  if (sequence.request.observe) sequence.request.observe(logits);
  auto token = sampler_.sample(logits, sampling, sequence.counts,
                               static_cast<std::uint32_t>(completion.token_ids.size()));
  if (!token.ok()) {
    event.status = std::move(token).error().with_context("position " +
                                                         std::to_string(sequence.last_position()));
    event.finished = true;
    return event;
  }
  const std::uint32_t id = token.value();
  TraceStep step{sequence.last_position(), sequence.last_token(), Digest{}, id};
  if (sampling.trace == TraceKind::kLogits) step.logits_digest = logits_digest(logits);
  completion.trace.push_back(step);
  completion.token_ids.push_back(id);
  sequence.counts.add(id);
  event.token = id;
  if (sequence.detokenizer) event.text = sequence.stops.push(sequence.detokenizer->push(id));

  const bool ends = tokenizer_ != nullptr && tokenizer_->is_end(id) && !sampling.ignore_eos;
  if (ends || sequence.stops.matched()) {
    finish(sequence, FinishReason::kStop, event);
  } else if (completion.token_ids.size() >= sequence.max_completion) {
    finish(sequence, FinishReason::kLength, event);
    // The last bytes may have completed a stop string.
    if (sequence.stops.matched()) completion.finish_reason = FinishReason::kStop;
  }
  completion.text += event.text;
  return event;
}

Result<std::vector<SequenceEvent>> Leader::step() {
  const StepPlan plan = scheduler_.plan_step();
  if (plan.empty()) return std::vector<SequenceEvent>{};
  LOCKSTEP_TRY_ASSIGN(const StepOutput output, rank_.lead_step(plan), "replica");

  const ModelConfig& model = rank_.manifest().config;
  const auto vocab = static_cast<std::size_t>(model.vocab_size);
  std::vector<SequenceEvent> events;
  std::vector<SampledToken> sampled;
  std::size_t next_logits = 0;
  std::size_t index = 0;
  const auto handle = [&](const ScheduledSequence& entry) {
    const std::span<const float> logits =
        std::span(output.logits).subspan(next_logits * vocab, entry.num_logits * vocab);
    next_logits += entry.num_logits;
    const NonFinite bad = output.non_finite[index++];
    const auto found = sequences_.find(entry.sequence);
    if (found == sequences_.end() || found->second->ended) return;
    Sequence& sequence = *found->second;
    sequence.completion.computed_tokens += static_cast<std::uint32_t>(entry.tokens.size());
    sequence.completion.cached_tokens = scheduler_.cached_tokens(entry.sequence);
    ++sequence.completion.steps;
    SequenceEvent event;
    event.sequence = entry.sequence;
    if (bad.found()) {
      event.finished = true;
      event.status = Error{ErrorCode::kCorrupt,
                           "a value is NaN or infinite in " + bad.description(model.num_layers)};
    } else if (sequence.request.score) {
      for (std::uint32_t i = 0; i < entry.num_logits; ++i) {
        sequence.request.score(entry.first_position + i, logits.subspan(i * vocab, vocab));
      }
      event.finished = entry.first_position + entry.tokens.size() == sequence.request.prompt.size();
    } else if (entry.num_logits > 0) {
      event = advance(sequence, logits);
    } else {
      return;
    }
    if (event.token) sampled.push_back({entry.sequence, *event.token});
    sequence.ended = event.finished;
    events.push_back(std::move(event));
  };
  for (const auto& entry : plan.decodes) handle(entry);
  for (const auto& entry : plan.prefills) handle(entry);
  // What failed leaves before the step is completed: its keys and values must not reach the prefix
  // cache, where nothing would flag them again.
  for (const SequenceEvent& event : events) {
    if (!event.status.ok()) scheduler_.finish(event.sequence);
  }
  scheduler_.complete_step(sampled);
  for (const SequenceEvent& event : events) {
    if (event.finished) scheduler_.finish(event.sequence);
  }
  return events;
}

void Leader::cancel(SequenceId id) {
  const auto found = sequences_.find(id);
  if (found == sequences_.end() || found->second->ended) return;
  SequenceEvent rest;
  finish(*found->second, FinishReason::kLength, rest);
  found->second->completion.text += rest.text;
  found->second->ended = true;
  scheduler_.finish(id);
}

Completion Leader::take(SequenceId id) {
  const auto found = sequences_.find(id);
  CHECK(found != sequences_.end() && found->second->ended, "take of a sequence that still runs");
  Completion completion = std::move(found->second->completion);
  sequences_.erase(found);
  return completion;
}

}  // namespace lockstep
