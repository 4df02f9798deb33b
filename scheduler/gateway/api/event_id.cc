#include "scheduler/gateway/api/event_id.h"

#include <charconv>

#include "scheduler/gateway/api/generation_request.h"

namespace lockstep {
namespace {

constexpr std::size_t kRequestDigits = 32;

Error wrong() {
  return Error{
      ErrorCode::kInvalidArgument,
      "an event id is the request's id, a colon and the tokens of each choice (\"12,7e\")"};
}

}  // namespace

std::string EventId::text() const {
  std::string out = request.text() + ":";
  for (std::size_t i = 0; i < choices.size(); ++i) {
    if (i > 0) out += ',';
    out += std::to_string(choices[i].num_tokens);
    if (choices[i].ended) out += 'e';
  }
  return out;
}

Result<EventId> EventId::parse(std::string_view text) {
  if (text.size() < kRequestDigits + 2 || text[kRequestDigits] != ':') return wrong();
  EventId id;
  LOCKSTEP_TRY_ASSIGN(id.request, RequestId::parse(text.substr(0, kRequestDigits)), "event id");
  text.remove_prefix(kRequestDigits + 1);
  while (true) {
    Choice choice;
    const auto [end, fault] =
        std::from_chars(text.data(), text.data() + text.size(), choice.num_tokens);
    if (fault != std::errc()) return wrong();
    text.remove_prefix(static_cast<std::size_t>(end - text.data()));
    if (text.starts_with('e')) {
      choice.ended = true;
      text.remove_prefix(1);
    }
    id.choices.push_back(choice);
    if (text.empty()) return id;
    if (!text.starts_with(',') || id.choices.size() == static_cast<std::size_t>(kMaxChoices)) {
      return wrong();
    }
    text.remove_prefix(1);
  }
}

}  // namespace lockstep
