#include "scheduler/gateway/api/answer_body.h"

#include <utility>

#include "base/check.h"
#include "scheduler/gateway/api/answer_text.h"
#include "scheduler/gateway/api/receipt_body.h"

namespace lockstep {
namespace {

OrderedJson choice_body(const AnswerForm& form, std::uint32_t index, const ChoiceRecord& choice) {
  AnswerText answer(form.model->tokenizer(), form.record->sampling.stop);
  std::string text = form.options.echo ? form.prompt_text() : std::string();
  const std::size_t start = count_characters(text);
  LogprobList logprobs(form);
  for (const CompletionToken& token : choice.tokens) {
    logprobs.add(token, start + answer.num_characters());
    text += answer.push(token.token);
  }
  text += answer.finish();
  OrderedJson body;
  body["index"] = index;
  if (form.options.chat) {
    body["message"]["role"] = "assistant";
    body["message"]["content"] = std::move(text);
    body["message"]["refusal"] = nullptr;
  } else {
    body["text"] = std::move(text);
  }
  OrderedJson list = logprobs.take();
  if (form.options.chat && !list.is_null()) list["refusal"] = nullptr;
  body["logprobs"] = std::move(list);
  body["finish_reason"] = finish_reason_text(choice.end->reason);
  return body;
}

}  // namespace

OrderedJson answer_body(const AnswerForm& form, std::span<const ChoiceRecord> choices) {
  OrderedJson body = form.head(/*chunk=*/false);
  body["choices"] = OrderedJson::array();
  std::uint64_t num_tokens = 0;
  OrderedJson receipts = OrderedJson::array();
  for (std::uint32_t i = 0; i < choices.size(); ++i) {
    CHECK(choices[i].end && choices[i].end->status.ok(), "a choice has no end");
    body["choices"].push_back(choice_body(form, i, choices[i]));
    num_tokens += choices[i].tokens.size();
    if (form.options.receipt) {
      receipts.push_back(receipt_body(*form.record, i, choices[i].tokens, choices[i].end->reason));
    }
  }
  body["usage"] = form.usage(num_tokens);
  if (form.options.receipt) {
    body["lockstep"]["request_id"] = form.record->id.text();
    body["lockstep"]["receipts"] = std::move(receipts);
  }
  return body;
}

}  // namespace lockstep
