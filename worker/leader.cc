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

// Keys and values are shared within a tenant and a model.
CacheSalt cache_salt(const Manifest& manifest, const std::string& tenant) {
  Bytes bytes(manifest.manifest_hash.bytes.begin(), manifest.manifest_hash.bytes.end());
  bytes.insert(bytes.end(), tenant.begin(), tenant.end());
  return sha256(bytes);
}

}  // namespace

Leader::Leader(Rank& rank, const Tokenizer* tokenizer)
    : rank_(rank), tokenizer_(tokenizer), scheduler_(scheduler_config(rank.config())) {}

Leader::~Leader() = default;

bool Leader::idle() const {
  return scheduler_.num_waiting() + scheduler_.num_running() == 0 && ended_on_arrival_.empty();
}

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
  if (request.num_top_logprobs < -1 || request.num_top_logprobs > kMaxTopLogprobs) {
    return Error{ErrorCode::kInvalidArgument,
                 "top log probabilities: expected -1 (none) to " + std::to_string(kMaxTopLogprobs)};
  }
  for (const CompletionToken& delivered : request.delivered) {
    if (delivered.token >= vocab || request.score) {
      return Error{ErrorCode::kInvalidArgument,
                   request.score ? "a prompt that is only scored has no delivered tokens"
                                 : "delivered token " + std::to_string(delivered.token) +
                                       " is not in the vocabulary of " + std::to_string(vocab)};
    }
  }
  return {};
}

// What the sampler, the stop strings and the text know after the delivered tokens is what they
// would know had they been sampled here. `event` becomes that of the last of them.
Status Leader::resume(Sequence& sequence, SequenceEvent& event) {
  for (const CompletionToken& delivered : sequence.request.delivered) {
    if (event.finished) {
      return Error{ErrorCode::kInvalidArgument, "tokens were delivered behind the answer's end"};
    }
    event.text.clear();
    const bool traced = sequence.request.sampling.trace == TraceKind::kLogits;
    append(sequence, delivered.token, traced ? delivered.logits_digest : Digest{}, event);
  }
  return {};
}

Status Leader::schedule(const Sequence& sequence) {
  const Completion& completion = sequence.completion;
  SequenceRequest request;
  request.id = sequence.id;
  request.tokens = sequence.request.prompt;
  request.tokens.insert(request.tokens.end(), completion.token_ids.begin(),
                        completion.token_ids.end());
  request.prompt_tokens = completion.prompt_tokens;
  request.max_tokens = completion.prompt_tokens + sequence.max_completion;
  request.priority = sequence.request.priority;
  request.salt = cache_salt(rank_.manifest(), sequence.request.tenant);
  request.tenant = TenantId{load_le<std::uint64_t>(request.salt.bytes.data())};
  request.arrival = static_cast<std::uint64_t>(sequence.id);
  request.score_prompt = static_cast<bool>(sequence.request.score);
  return scheduler_.add(std::move(request));
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
  SequenceEvent event;
  event.sequence = id;
  LOCKSTEP_TRY(resume(*sequence, event), "refused");
  sequence->ended = event.finished;
  if (event.finished) {
    ended_on_arrival_.push_back(std::move(event));
  } else {
    LOCKSTEP_TRY(schedule(*sequence), "refused");
  }
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

// Takes the next token of the completion, and says what that means.
void Leader::append(Sequence& sequence, std::uint32_t token, const Digest& logits_digest,
                    SequenceEvent& event) {
  Completion& completion = sequence.completion;
  completion.trace.push_back(
      {sequence.last_position(), sequence.last_token(), logits_digest, token});
  completion.token_ids.push_back(token);
  sequence.counts.add(token);
  if (sequence.detokenizer) event.text = sequence.stops.push(sequence.detokenizer->push(token));

  const bool ignores = sequence.request.sampling.ignore_eos;
  const bool ends = tokenizer_ != nullptr && tokenizer_->is_end(token) && !ignores;
  if (ends || sequence.stops.matched()) {
    finish(sequence, FinishReason::kStop, event);
  } else if (completion.token_ids.size() >= sequence.max_completion) {
    finish(sequence, FinishReason::kLength, event);
    // The last bytes may have completed a stop string.
    if (sequence.stops.matched()) completion.finish_reason = FinishReason::kStop;
  }
  completion.text += event.text;
}

// Samples from the logits behind the last token.
SequenceEvent Leader::sample(Sequence& sequence, std::span<const float> logits) {
  SequenceEvent event;
  event.sequence = sequence.id;
  const Request& request = sequence.request;
  if (request.observe) request.observe(logits);
  auto token = sampler_.sample(logits, request.sampling, sequence.counts,
                               static_cast<std::uint32_t>(sequence.completion.token_ids.size()));
  if (!token.ok()) {
    event.status = std::move(token).error().with_context("position " +
                                                         std::to_string(sequence.last_position()));
    event.finished = true;
    return event;
  }
  event.token = token.value();
  if (request.sampling.trace == TraceKind::kLogits) event.logits_digest = logits_digest(logits);
  if (request.num_top_logprobs >= 0) {
    event.logprobs = token_logprobs(logits, token.value(), request.num_top_logprobs);
  }
  append(sequence, token.value(), event.logits_digest, event);
  return event;
}

// What the step did for one entry of the plan.
std::optional<SequenceEvent> Leader::handle(const ScheduledSequence& entry,
                                            std::span<const float> logits, NonFinite bad) {
  const auto found = sequences_.find(entry.sequence);
  if (found == sequences_.end() || found->second->ended) return std::nullopt;
  Sequence& sequence = *found->second;
  const ModelConfig& model = rank_.manifest().config;
  const auto vocab = static_cast<std::size_t>(model.vocab_size);
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
    event = sample(sequence, logits);
  } else {
    return std::nullopt;
  }
  sequence.ended = event.finished;
  return event;
}

Result<std::vector<SequenceEvent>> Leader::step() {
  std::vector<SequenceEvent> events = std::exchange(ended_on_arrival_, {});
  const StepPlan* plan = &scheduler_.plan_step();
  if (plan->empty() && scheduler_.num_waiting() > 0) plan = &scheduler_.plan_step();
  if (plan->empty()) return events;
  LOCKSTEP_TRY_ASSIGN(const StepOutput output, rank_.lead_step(*plan), "replica");

  const auto vocab = static_cast<std::size_t>(rank_.manifest().config.vocab_size);
  const std::size_t first = events.size();
  std::size_t next_logits = 0;
  std::size_t index = 0;
  for (const auto* entries : {&plan->decodes, &plan->prefills}) {
    for (const ScheduledSequence& entry : *entries) {
      const std::span<const float> logits =
          std::span(output.logits).subspan(next_logits * vocab, entry.num_logits * vocab);
      next_logits += entry.num_logits;
      auto event = handle(entry, logits, output.non_finite[index++]);
      if (event) events.push_back(std::move(*event));
    }
  }
  const std::span<const SequenceEvent> happened = std::span(events).subspan(first);
  std::vector<SampledToken> sampled;
  for (const SequenceEvent& event : happened) {
    if (event.token) sampled.push_back({event.sequence, *event.token});
    // What failed leaves before the step is completed: its keys and values must not reach the
    // prefix cache, where nothing would flag them again.
    if (!event.status.ok()) scheduler_.finish(event.sequence);
  }
  CHECK(scheduler_.complete_step({plan->generation, plan->step, sampled}), "a step came back late");
  for (const SequenceEvent& event : happened) {
    if (event.finished) scheduler_.finish(event.sequence);
  }
  return events;
}

void Leader::begin_generation(GenerationId generation) {
  scheduler_.begin_generation(generation);
  sequences_.clear();
  ended_on_arrival_.clear();
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
