#include "tests/simulation/trace.h"

#include "base/bytes.h"

namespace lockstep::simulation {

namespace {

std::string text_of(const ChoiceKey& key, std::uint32_t attempt) {
  return short_name(key.request) + "/" + std::to_string(key.choice) + " attempt " +
         std::to_string(attempt);
}

std::string text_of(const WelcomeMessage&) { return "welcome"; }
std::string text_of(const AssignMessage& order) {
  return "assign " + text_of(order.key, order.attempt) + " behind " +
         std::to_string(order.delivered.size());
}
std::string text_of(const CancelMessage& order) {
  return "cancel " + text_of(order.key, order.attempt);
}
std::string text_of(const LeaseMessage& order) { return "lease " + std::to_string(order.sequence); }
std::string text_of(const DrainMessage&) { return "drain"; }
std::string text_of(const IdentifyMessage&) { return "identify"; }
std::string text_of(const HelloMessage&) { return "hello"; }
std::string text_of(const BeatMessage& beat) {
  return "beat step_age_ms=" + std::to_string(beat.step_age_ms) +
         " running=" + std::to_string(beat.running) + " waiting=" + std::to_string(beat.waiting);
}
std::string text_of(const ProgressMessage& progress) {
  std::string text = "progress";
  for (const ChoiceProgress& choice : progress.choices) {
    text += " [" + text_of(choice.key, choice.attempt) + " token " + std::to_string(choice.first);
    if (choice.end) text += choice.end->status.ok() ? " end" : " error";
    text += "]";
  }
  return text;
}
std::string text_of(const DrainedMessage&) { return "drained"; }

template <typename Message>
std::string numbered(const Message& message) {
  return "epoch " + std::to_string(message.epoch >> 32) + "." +
         std::to_string(message.epoch & 0xffffffff) + " #" + std::to_string(message.sequence) +
         " " + std::visit([](const auto& body) { return text_of(body); }, message.body);
}

}  // namespace

std::string short_name(const RequestId& id) { return id.text().substr(24); }

std::string text_of(const ToReplica& message) { return numbered(message); }
std::string text_of(const ToGateway& message) { return numbered(message); }

void Trace::print(std::int64_t now_us, const std::string& what) const {
  if (out_ == nullptr) return;
  std::fprintf(out_, "%10.3f ms  %s\n", static_cast<double>(now_us) / 1000, what.c_str());
}

void Trace::add(const RequestId& id) {
  add(load_le<std::uint64_t>(id.bytes.data()));
  add(load_le<std::uint64_t>(id.bytes.data() + 8));
}

void Trace::add(const ToReplica& message) {
  add(message.epoch);
  add(message.sequence);
  add(message.body.index());
  if (const auto* assign = std::get_if<AssignMessage>(&message.body)) {
    add(assign->key.request);
    add(assign->key.choice);
    add(assign->attempt);
    add(assign->delivered.size());
  } else if (const auto* cancel = std::get_if<CancelMessage>(&message.body)) {
    add(cancel->key.request);
    add(cancel->key.choice);
    add(cancel->attempt);
  }
}

void Trace::add(const ToGateway& message) {
  add(message.epoch);
  add(message.sequence);
  add(message.body.index());
  const auto* progress = std::get_if<ProgressMessage>(&message.body);
  if (progress == nullptr) return;
  for (const ChoiceProgress& choice : progress->choices) {
    add(choice.key.request);
    add(choice.key.choice);
    add(choice.attempt);
    add(choice.first);
    for (const CompletionToken& token : choice.tokens) add(token.token);
    add(choice.end.has_value() ? 1 : 0);
  }
}

}  // namespace lockstep::simulation
