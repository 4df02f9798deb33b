// What a message may say: one set of rules for who sends and who receives.
#include <algorithm>
#include <cmath>

#include "base/wire.h"

namespace lockstep {
namespace {

// The first rule that is broken; rules after it are not looked at.
class Rules {
 public:
  Rules& require(bool kept, const char* field) {
    if (!kept && field_ == nullptr) field_ = field;
    return *this;
  }
  bool kept() const { return field_ == nullptr; }
  Status status(const char* message) const {
    if (kept()) return {};
    return Error{ErrorCode::kInvalidArgument,
                 std::string(message) + ": " + field_ + " is out of range"};
  }

 private:
  const char* field_ = nullptr;
};

void check_key(Rules& rules, const ChoiceKey& key) {
  rules.require(!key.request.is_zero(), "request").require(key.choice < kMaxWireChoices, "choice");
}

void check_tokens(Rules& rules, std::uint64_t first, const std::vector<CompletionToken>& tokens) {
  rules.require(first + tokens.size() <= kMaxWireTokens, "first");
  for (const CompletionToken& token : tokens) {
    rules.require(std::isfinite(token.logprob), "logprob")
        .require(token.top.size() <= kMaxWireTopLogprobs, "top");
    for (const TokenLogprob& top : token.top) {
      rules.require(std::isfinite(top.logprob), "top logprob");
    }
    if (!rules.kept()) return;
  }
}

bool within(float value, float low, float high) { return value >= low && value <= high; }

void check_sampling(Rules& rules, const SamplingParams& s) {
  constexpr float kAny = 3.0e38F;  // Finite, and no NaN: those compare false.
  rules.require(within(s.temperature, 0.0F, kAny), "temperature")
      .require(within(s.top_p, 0.0F, 1.0F) && s.top_p > 0.0F, "top_p")
      .require(within(s.min_p, 0.0F, 1.0F), "min_p")
      .require(within(s.repetition_penalty, 0.0F, kAny) && s.repetition_penalty > 0.0F,
               "repetition_penalty")
      .require(within(s.frequency_penalty, -kAny, kAny), "frequency_penalty")
      .require(within(s.presence_penalty, -kAny, kAny), "presence_penalty")
      .require(s.max_completion_tokens >= 1, "max_completion_tokens")
      .require(s.trace <= TraceKind::kLogits, "trace")
      .require(s.stop.size() <= kMaxWireStops, "stop")
      .require(s.logit_bias.size() <= kMaxWireTokens, "logit_bias");
  std::size_t stop_bytes = 0;
  for (const std::string& stop : s.stop) {
    rules.require(!stop.empty(), "stop");
    stop_bytes += stop.size();
  }
  rules.require(stop_bytes <= kMaxWireStopBytes, "stop");
  for (std::size_t i = 0; i < s.logit_bias.size(); ++i) {
    const auto& [token, bias] = s.logit_bias[i];
    rules.require(i == 0 || s.logit_bias[i - 1].first < token, "logit_bias token")
        .require(std::isfinite(bias), "logit_bias");
    if (!rules.kept()) return;
  }
}

Status check(const IdentifyMessage& /*message*/) { return {}; }
Status check(const DrainMessage& /*message*/) { return {}; }
Status check(const LeaseMessage& /*message*/) { return {}; }
Status check(const BeatMessage& /*message*/) { return {}; }
Status check(const DrainedMessage& /*message*/) { return {}; }

Status check(const WelcomeMessage& message) {
  Rules rules;
  rules.require(message.lease_ms <= kMaxLeaseMs, "lease_ms")
      .require(message.beat_ms >= kMinBeatMs && message.beat_ms <= message.lease_ms, "beat_ms");
  return rules.status("welcome");
}

Status check(const AssignMessage& message) {
  Rules rules;
  check_key(rules, message.key);
  rules.require(message.priority <= 2, "priority")
      .require(message.tenant.size() <= kMaxWireTextBytes, "tenant")
      .require(!message.prompt.empty() && message.prompt.size() <= kMaxWireTokens, "prompt")
      .require(message.num_top_logprobs >= -1 &&
                   message.num_top_logprobs <= static_cast<std::int32_t>(kMaxWireTopLogprobs),
               "num_top_logprobs");
  check_sampling(rules, message.sampling);
  check_tokens(rules, 0, message.delivered);
  return rules.status("assign");
}

Status check(const CancelMessage& message) {
  Rules rules;
  check_key(rules, message.key);
  return rules.status("cancel");
}

Status check(const HelloMessage& message) {
  Rules rules;
  rules.require(!message.model_id.is_zero(), "model_id")
      .require(message.device.size() <= kMaxWireTextBytes, "device")
      .require(message.context_tokens >= 1 && message.context_tokens <= kMaxWireTokens,
               "context_tokens")
      .require(message.max_sequences >= 1 && message.max_sequences <= kMaxWireChoices,
               "max_sequences")
      .require(!message.ranks.empty() && message.ranks.size() <= kMaxWireRanks, "ranks");
  for (const RankProcess& rank : message.ranks) {
    rules.require(rank.host.size() <= kMaxWireTextBytes, "host")
        .require(rank.pid >= 1 && rank.pid <= INT32_MAX, "pid");
  }
  return rules.status("hello");
}

Status check(const ProgressMessage& message) {
  Rules rules;
  rules.require(message.choices.size() <= kMaxWireChoices, "choices");
  for (const ChoiceProgress& choice : message.choices) {
    check_key(rules, choice.key);
    check_tokens(rules, choice.first, choice.tokens);
    if (choice.end) {
      rules.require(choice.end->reason <= FinishReason::kLength, "reason")
          .require(choice.end->num_tokens <= kMaxWireTokens, "num_tokens");
    }
    if (!rules.kept()) break;
  }
  return rules.status("progress");
}

}  // namespace

Status validate(const ToReplica& message) {
  const auto* welcome = std::get_if<WelcomeMessage>(&message.body);
  if (welcome != nullptr && welcome->epoch != message.epoch) {
    return Error{ErrorCode::kInvalidArgument, "welcome: epoch is not that of its message"};
  }
  return std::visit([](const auto& body) { return check(body); }, message.body);
}

Status validate(const ToGateway& message) {
  return std::visit([](const auto& body) { return check(body); }, message.body);
}

}  // namespace lockstep
