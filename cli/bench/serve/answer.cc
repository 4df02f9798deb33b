#include "cli/bench/serve/answer.h"

#include <algorithm>

#include "base/canonical_json.h"

namespace lockstep {
namespace {

constexpr std::size_t kMaxShownBytes = 200;

// The member of an object, or null.
const nlohmann::json* member(const nlohmann::json& value, const char* key) {
  if (!value.is_object()) return nullptr;
  const auto found = value.find(key);
  return found == value.end() ? nullptr : &*found;
}

std::string_view text_of(const nlohmann::json* value) {
  if (value == nullptr || !value->is_string()) return "";
  return value->get_ref<const std::string&>();
}

std::optional<std::int64_t> count_of(const nlohmann::json& usage, const char* key) {
  const nlohmann::json* count = member(usage, key);
  if (count == nullptr || !count->is_number_integer()) return std::nullopt;
  return std::max<std::int64_t>(count->get<std::int64_t>(), 0);
}

std::string shown(std::string_view text) {
  std::string line(text.substr(0, kMaxShownBytes));
  for (char& c : line) {
    if (static_cast<unsigned char>(c) < 0x20) c = ' ';
  }
  return line + (text.size() > kMaxShownBytes ? "..." : "");
}

}  // namespace

void AnswerReader::push(std::string_view bytes, double now_s) {
  const Status status = events_.push(bytes, [&](const SseEvent& event) {
    if (!ended_ && answer_.error.empty()) take_event(event.data, now_s);
  });
  if (!status.ok() && answer_.error.empty()) answer_.error = status.error().message;
}

void AnswerReader::take_event(const std::string& data, double now_s) {
  if (data == "[DONE]") {
    ended_ = true;
    return;
  }
  const auto parsed = parse_json(data);
  if (!parsed.ok()) {
    answer_.error = "an event is no JSON: " + shown(data);
    return;
  }
  const nlohmann::json& event = parsed.value();
  if (member(event, "error") != nullptr) {
    answer_.error = error_text(data);
    return;
  }
  if (const nlohmann::json* usage = member(event, "usage"); usage != nullptr) {
    if (const auto count = count_of(*usage, "prompt_tokens")) answer_.prompt_tokens = count;
    if (const auto count = count_of(*usage, "completion_tokens")) answer_.completion_tokens = count;
  }
  const nlohmann::json* choices = member(event, "choices");
  if (choices == nullptr || !choices->is_array() || choices->empty()) return;
  const nlohmann::json& choice = choices->front();
  const nlohmann::json* delta = member(choice, "delta");
  take_piece(text_of(delta != nullptr ? member(*delta, "content") : member(choice, "text")), now_s);
}

void AnswerReader::take_piece(std::string_view text, double now_s) {
  if (answer_.text.size() + text.size() > kMaxTextBytes) {
    answer_.error = "an answer of more than " + std::to_string(kMaxTextBytes) + " bytes";
    return;
  }
  answer_.text += text;
  if (!last_s_) {
    answer_.first_token_s = now_s - answer_.start_s;
  } else {
    answer_.gap_s.push_back(now_s - *last_s_);
  }
  last_s_ = now_s;
  answer_.latency_s = now_s - answer_.start_s;
}

Answer AnswerReader::finish() && {
  if (answer_.error.empty() && !ended_) answer_.error = "the stream ended before [DONE]";
  if (answer_.error.empty() && !last_s_) answer_.error = "the stream ended without a token";
  answer_.completed = answer_.error.empty();
  return std::move(answer_);
}

Answer AnswerReader::fail(std::string why) && {
  if (answer_.error.empty()) answer_.error = std::move(why);
  return std::move(answer_);
}

std::string error_text(std::string_view body) {
  const auto parsed = parse_json(body);
  if (parsed.ok()) {
    const nlohmann::json* error = member(parsed.value(), "error");
    const std::string_view plain = text_of(error);
    const std::string_view message =
        plain.empty() && error != nullptr ? text_of(member(*error, "message")) : plain;
    if (!message.empty()) return shown(message);
  }
  return shown(body);
}

}  // namespace lockstep
