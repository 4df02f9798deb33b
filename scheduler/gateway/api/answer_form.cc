#include "scheduler/gateway/api/answer_form.h"

#include <algorithm>
#include <utility>

#include "scheduler/gateway/api/answer_text.h"

namespace lockstep {
namespace {

// JSON has no infinity; vLLM's value for "never".
double finite(float logprob) { return std::max(static_cast<double>(logprob), -9999.0); }

}  // namespace

std::string AnswerForm::id() const {
  return (options.chat ? "chatcmpl-" : "cmpl-") + record->id.text();
}

OrderedJson AnswerForm::head(bool chunk) const {
  OrderedJson json;
  json["id"] = id();
  json["object"] = !options.chat ? "text_completion"
                   : chunk       ? "chat.completion.chunk"
                                 : "chat.completion";
  json["created"] = record->created_ms / 1000;
  json["model"] = model->identity().name;
  json["system_fingerprint"] = model->fingerprint();
  return json;
}

OrderedJson AnswerForm::usage(std::uint64_t completion_tokens) const {
  OrderedJson json;
  json["prompt_tokens"] = record->prompt.size();
  json["completion_tokens"] = completion_tokens;
  json["total_tokens"] = record->prompt.size() + completion_tokens;
  return json;
}

std::string AnswerForm::prompt_text() const {
  Detokenizer detokenizer(model->tokenizer());
  std::string text;
  for (const std::uint32_t id : record->prompt) text += detokenizer.push(id);
  return text + detokenizer.finish();
}

const char* finish_reason_text(FinishReason reason) {
  return reason == FinishReason::kStop ? "stop" : "length";
}

ApiError outcome_error(const JobOutcome& outcome) {
  ApiError error;
  error.status = 500;
  error.type = "server_error";
  error.message = outcome.error;
  if (outcome.state == JobState::kCancelled) {
    error.status = 409;
    error.code = "cancelled";
    error.message = "the request was cancelled";
  } else if (outcome.state == JobState::kExpired) {
    error.status = 504;
    error.code = "expired";
    error.message = "the request's time is over";
  } else if (error.message.empty()) {
    error.message = "the request failed";
  }
  return error;
}

LogprobList::LogprobList(const AnswerForm& form) : form_(form) {}

OrderedJson LogprobList::chat_entry(std::uint32_t token, float logprob) const {
  const Tokenizer& tokenizer = form_.model->tokenizer();
  OrderedJson entry;
  entry["token"] = token_label(tokenizer, token, /*as_bytes=*/false);
  entry["logprob"] = finite(logprob);
  entry["bytes"] = OrderedJson::array();
  for (const char c : token_label_bytes(tokenizer, token)) {
    entry["bytes"].push_back(static_cast<unsigned char>(c));
  }
  return entry;
}

void LogprobList::add(const CompletionToken& token, std::size_t offset) {
  if (form_.options.num_top_logprobs < 0) return;
  if (form_.options.chat) {
    OrderedJson entry = chat_entry(token.token, token.logprob);
    entry["top_logprobs"] = OrderedJson::array();
    for (const TokenLogprob& one : token.top) {
      entry["top_logprobs"].push_back(chat_entry(one.token, one.logprob));
    }
    body_["content"].push_back(std::move(entry));
    return;
  }
  const Tokenizer& tokenizer = form_.model->tokenizer();
  body_["text_offset"].push_back(offset);
  body_["token_logprobs"].push_back(finite(token.logprob));
  body_["tokens"].push_back(token_label(tokenizer, token.token, /*as_bytes=*/true));
  // As OpenAI: the chosen token is among them, however unlikely it was.
  OrderedJson top = OrderedJson::object();
  for (const TokenLogprob& one : token.top) {
    top[token_label(tokenizer, one.token, true)] = finite(one.logprob);
  }
  top[token_label(tokenizer, token.token, true)] = finite(token.logprob);
  body_["top_logprobs"].push_back(std::move(top));
}

OrderedJson LogprobList::take() { return std::exchange(body_, OrderedJson()); }

}  // namespace lockstep
