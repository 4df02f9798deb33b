#include "scheduler/gateway/api/answer_stream.h"

#include <algorithm>
#include <utility>

#include "base/check.h"
#include "scheduler/gateway/api/receipt_body.h"

namespace lockstep {

std::string sse_event(std::string_view id, std::string_view data) {
  std::string event;
  event.reserve(id.size() + data.size() + 16);
  if (!id.empty()) event.append("id: ").append(id).append("\n");
  return event.append("data: ").append(data).append("\n\n");
}

AnswerStream::AnswerStream(const AnswerForm& form, const std::optional<EventId>& resume)
    : form_(form), resumed_(resume.has_value()) {
  CHECK(!resume || resume->choices.size() == form.record->num_choices, "other choices");
  if (form_.options.echo) start_characters_ = count_characters(form_.prompt_text());
  choices_.reserve(form_.record->num_choices);
  for (std::uint32_t i = 0; i < form_.record->num_choices; ++i) {
    Choice choice{AnswerText(form_.model->tokenizer(), form_.record->sampling.stop),
                  LogprobList(form_),
                  0,
                  false,
                  {},
                  FinishReason::kLength,
                  {}};
    if (resume) choice.seen = resume->choices[i];
    choices_.push_back(std::move(choice));
  }
}

// These events have no id: a client that saw nothing else starts anew.
std::string AnswerStream::start() {
  if (resumed_ || (!form_.options.chat && !form_.options.echo)) return {};
  std::string out;
  for (std::uint32_t i = 0; i < num_choices(); ++i) {
    OrderedJson body = form_.head(/*chunk=*/true);
    OrderedJson choice;
    choice["index"] = i;
    if (form_.options.chat) {
      choice["delta"] = {{"role", "assistant"}, {"content", ""}};
    } else {
      choice["text"] = form_.prompt_text();
    }
    choice["logprobs"] = nullptr;
    choice["finish_reason"] = nullptr;
    body["choices"] = OrderedJson::array({std::move(choice)});
    if (form_.options.include_usage) body["usage"] = nullptr;
    out += sse_event({}, body.dump());
  }
  return out;
}

std::string AnswerStream::event_id() const {
  EventId id{form_.record->id, {}};
  // What the client had before this stream counts, whether it was computed into text again or not.
  for (const Choice& choice : choices_) {
    id.choices.push_back(
        {std::max(choice.next, choice.seen.num_tokens), choice.ended || choice.seen.ended});
  }
  return id.text();
}

std::string AnswerStream::event(std::uint32_t index, std::string text, const char* finish_reason) {
  OrderedJson choice;
  choice["index"] = index;
  if (form_.options.chat) {
    choice["delta"] = OrderedJson::object();
    if (finish_reason == nullptr || !text.empty()) choice["delta"]["content"] = std::move(text);
  } else {
    choice["text"] = std::move(text);
  }
  choice["logprobs"] = choices_[index].logprobs.take();
  choice["finish_reason"] = finish_reason == nullptr ? OrderedJson() : OrderedJson(finish_reason);
  OrderedJson body = form_.head(/*chunk=*/true);
  body["choices"] = OrderedJson::array({std::move(choice)});
  if (form_.options.include_usage) body["usage"] = nullptr;
  return sse_event(event_id(), body.dump());
}

std::string AnswerStream::token_event(std::uint32_t index, const CompletionToken& token) {
  Choice& choice = choices_[index];
  const std::size_t offset = start_characters_ + choice.text.num_characters();
  std::string text = choice.text.push(token.token);
  if (form_.options.receipt) choice.tokens.push_back(token);
  if (++choice.next <= choice.seen.num_tokens) return {};
  choice.logprobs.add(token, offset);
  if (text.empty() && form_.options.num_top_logprobs < 0) return {};
  return event(index, std::move(text), nullptr);
}

std::string AnswerStream::end_event(std::uint32_t index, const ChoiceEnd& end) {
  Choice& choice = choices_[index];
  choice.ended = true;
  choice.reason = end.reason;
  // finish() tells errors, once they are on disk.
  if (!end.status.ok() || choice.seen.ended) return {};
  std::string rest = choice.text.finish();
  return event(index, std::move(rest), finish_reason_text(end.reason));
}

std::string AnswerStream::take(std::uint32_t choice, const JobFeed::Piece& piece) {
  std::string out;
  for (const CompletionToken& token : piece.tokens) out += token_event(choice, token);
  if (piece.end && !choices_[choice].ended) out += end_event(choice, *piece.end);
  return out;
}

std::uint64_t AnswerStream::num_tokens() const {
  std::uint64_t sum = 0;
  for (const Choice& choice : choices_) sum += choice.next;
  return sum;
}

std::string AnswerStream::finish(const JobOutcome& outcome) {
  const std::string done = sse_event({}, "[DONE]");
  if (outcome.state != JobState::kDone) {
    return sse_event({}, error_body(outcome_error(outcome))) + done;
  }
  if (!form_.options.include_usage && !form_.options.receipt) return done;
  OrderedJson body = form_.head(/*chunk=*/true);
  body["choices"] = OrderedJson::array();
  if (form_.options.include_usage) body["usage"] = form_.usage(num_tokens());
  if (form_.options.receipt) {
    body["lockstep"]["request_id"] = form_.record->id.text();
    body["lockstep"]["receipts"] = OrderedJson::array();
    for (std::uint32_t i = 0; i < num_choices(); ++i) {
      body["lockstep"]["receipts"].push_back(
          receipt_body(*form_.record, i, choices_[i].tokens, choices_[i].reason));
    }
  }
  return sse_event({}, body.dump()) + done;
}

}  // namespace lockstep
