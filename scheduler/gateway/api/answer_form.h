// The pieces of JSON that whole and streamed answers share.
#pragma once

#include <string>

#include "scheduler/gateway/api/generation_request.h"
#include "scheduler/gateway/api/model_text.h"
#include "scheduler/job.h"

namespace lockstep {

// What the form of an answer depends on. The pointers outlive whoever has the form.
struct AnswerForm {
  AnswerOptions options;
  const JobRecord* record = nullptr;
  const ModelText* model = nullptr;

  // "chatcmpl-<request>" or "cmpl-<request>".
  std::string id() const;
  // id, object, created, model, system_fingerprint.
  OrderedJson head(bool chunk) const;
  OrderedJson usage(std::uint64_t completion_tokens) const;
  // The prompt's tokens as text, for echo.
  std::string prompt_text() const;
};

const char* finish_reason_text(FinishReason reason);

// What an ended job tells instead of an answer; `outcome` is not kDone.
ApiError outcome_error(const JobOutcome& outcome);

// Log probabilities of tokens in a row, in the route's format.
class LogprobList {
 public:
  explicit LogprobList(const AnswerForm& form);
  // `offset`: characters of the answer in front of the token.
  void add(const CompletionToken& token, std::size_t offset);
  // null unless they were asked for.
  OrderedJson take();

 private:
  OrderedJson chat_entry(std::uint32_t token, float logprob) const;

  AnswerForm form_;
  OrderedJson body_;
};

}  // namespace lockstep
