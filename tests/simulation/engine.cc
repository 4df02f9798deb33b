#include "tests/simulation/engine.h"

#include <algorithm>
#include <utility>

#include "base/bytes.h"
#include "tests/simulation/fake_model.h"

namespace lockstep::simulation {

namespace {

// A plan without work may have made room for the next one.
constexpr int kMostPlans = 4;

CacheSalt cache_salt(std::uint64_t salt) {
  CacheSalt bytes;
  for (std::size_t i = 0; i < 8; ++i) bytes.bytes[i] = static_cast<std::uint8_t>(salt >> (8 * i));
  return bytes;
}

}  // namespace

Engine::Engine(const SchedulerConfig& config)
    : scheduler_(config), cache_(static_cast<std::size_t>(config.num_blocks)) {}

TenantId Engine::tenant_of(const std::string& name) {
  return tenants_.try_emplace(name, TenantId{tenants_.size()}).first->second;
}

Result<SequenceId> Engine::add(const AssignMessage& order) {
  const SequenceId id{next_id_++};
  Sequence sequence;
  sequence.salt = salt_of(order.tenant);
  sequence.seed = order.sampling.seed;
  sequence.choice = order.sampling.choice_index;
  sequence.num_tokens = static_cast<std::uint32_t>(order.delivered.size());
  sequence.max_tokens = order.sampling.max_completion_tokens;

  SequenceRequest request;
  request.id = id;
  request.tokens = order.prompt;
  for (const CompletionToken& token : order.delivered) request.tokens.push_back(token.token);
  request.prompt_tokens = static_cast<std::uint32_t>(order.prompt.size());
  request.max_tokens = request.prompt_tokens + sequence.max_tokens;
  request.priority = static_cast<PriorityClass>(order.priority);
  request.tenant = tenant_of(order.tenant);
  request.salt = cache_salt(sequence.salt);
  request.arrival = static_cast<std::uint64_t>(id);
  LOCKSTEP_TRY(scheduler_.add(std::move(request)), "refused");
  sequences_.emplace(id, sequence);
  return id;
}

void Engine::cancel(SequenceId id) {
  if (sequences_.erase(id) > 0) scheduler_.finish(id);
}

void Engine::begin_generation(std::uint64_t epoch) {
  scheduler_.begin_generation(GenerationId{epoch});
  sequences_.clear();
}

std::optional<int> Engine::begin_step(Trace& trace) {
  plan_ = &scheduler_.plan_step();
  for (int i = 1; plan_->empty() && scheduler_.num_waiting() > 0 && i < kMostPlans; ++i) {
    plan_ = &scheduler_.plan_step();
  }
  for (const auto* entries : {&plan_->decodes, &plan_->prefills}) {
    for (const ScheduledSequence& entry : *entries) {
      trace.add(static_cast<std::uint64_t>(entry.sequence));
      trace.add(entry.first_position);
      trace.add(entry.tokens.size());
      for (const BlockId block : entry.new_blocks) trace.add(static_cast<std::uint64_t>(block));
    }
  }
  if (plan_->empty()) return std::nullopt;
  return plan_->num_tokens();
}

// What a rank does with its share of a step: writes the new tokens, and reads all that lies below
// the last. False: the plan does not fit to what the rank knows.
bool Engine::compute(const ScheduledSequence& entry, std::uint64_t& context) {
  Table& table = tables_[entry.sequence];
  if (entry.known_blocks == 0) {
    table.blocks.clear();
    table.salt = sequences_.at(entry.sequence).salt;
  }
  if (table.blocks.size() != entry.known_blocks) return false;
  table.blocks.insert(table.blocks.end(), entry.new_blocks.begin(), entry.new_blocks.end());
  const std::size_t end = entry.first_position + entry.tokens.size();
  if (entry.tokens.empty() || end > table.blocks.size() * kBlockTokens) return false;
  const auto slot = [&](std::uint32_t position) -> std::uint64_t& {
    return cache_[static_cast<std::size_t>(table.blocks[position / kBlockTokens])]
                 [position % kBlockTokens];
  };
  std::uint32_t position = entry.first_position;
  for (const std::uint32_t token : entry.tokens) {
    slot(position) = kv_of(token, position, table.salt);
    ++position;
  }
  context = 0;
  if (entry.num_logits == 0) return true;
  for (std::uint32_t i = 0; i < position; ++i) context += slot(i);
  return true;
}

bool Engine::sample(const ScheduledSequence& entry, std::vector<Event>& events) {
  std::uint64_t context = 0;
  if (!compute(entry, context)) return false;
  Sequence& sequence = sequences_.at(entry.sequence);
  sequence.computed_tokens += static_cast<std::uint32_t>(entry.tokens.size());
  ++sequence.steps;
  if (entry.num_logits == 0) return true;
  Event event;
  event.sequence = entry.sequence;
  event.token = next_token(context, sequence.seed, sequence.choice, sequence.num_tokens++);
  const bool stops = is_end(event.token);
  if (stops || sequence.num_tokens >= sequence.max_tokens) {
    event.end = ChoiceEnd{.status = {},
                          .reason = stops ? FinishReason::kStop : FinishReason::kLength,
                          .num_tokens = sequence.num_tokens,
                          .cached_tokens = scheduler_.cached_tokens(entry.sequence),
                          .computed_tokens = sequence.computed_tokens,
                          .steps = sequence.steps};
  }
  events.push_back(std::move(event));
  return true;
}

std::optional<std::vector<Engine::Event>> Engine::end_step() {
  ++steps_;
  for (const SequenceId id : plan_->finished) tables_.erase(id);
  std::vector<Event> events;
  for (const auto* entries : {&plan_->decodes, &plan_->prefills}) {
    for (const ScheduledSequence& entry : *entries) {
      if (!sample(entry, events)) return std::nullopt;
    }
  }
  std::vector<SampledToken> sampled;
  for (const Event& event : events) sampled.push_back({event.sequence, event.token});
  const StepResult result{.generation = plan_->generation, .step = plan_->step, .sampled = sampled};
  if (!scheduler_.complete_step(result)) return std::nullopt;
  for (const Event& event : events) {
    if (event.end) cancel(event.sequence);
  }
  return events;
}

BeatMessage Engine::beat() const {
  BeatMessage beat;
  beat.steps = steps_;
  beat.running = static_cast<std::uint32_t>(scheduler_.num_running());
  beat.waiting = static_cast<std::uint32_t>(scheduler_.num_waiting());
  beat.blocks_free = static_cast<std::uint32_t>(scheduler_.pool().num_free());
  beat.preemptions = scheduler_.counts().preemptions;
  return beat;
}

}  // namespace lockstep::simulation
