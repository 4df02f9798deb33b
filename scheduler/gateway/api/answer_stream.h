// A streamed answer as server-sent events: one per token and choice whose text or log probabilities
// changed, one per end, then usage and [DONE]. Pure: what an event holds is a function of the
// request and the tokens, so that an answer can be taken up again behind any of its events.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "scheduler/gateway/api/answer_form.h"
#include "scheduler/gateway/api/answer_text.h"
#include "scheduler/gateway/api/event_id.h"
#include "scheduler/gateway/api_backend.h"

namespace lockstep {

class AnswerStream {
 public:
  // `resume`: the last event that the client has; it may name tokens that are not there yet.
  // Requires: it has as many choices as the request.
  AnswerStream(const AnswerForm& form, const std::optional<EventId>& resume);

  // What comes before the first token.
  std::string start();

  std::uint32_t num_choices() const { return static_cast<std::uint32_t>(choices_.size()); }
  // The token of the choice that take() expects next.
  std::uint32_t next_token(std::uint32_t choice) const { return choices_[choice].next; }
  bool ended(std::uint32_t choice) const { return choices_[choice].ended; }

  // Takes tokens from next_token() on, and the end behind them.
  std::string take(std::uint32_t choice, const JobFeed::Piece& piece);

  // What comes after everything, or the error that came instead.
  std::string finish(const JobOutcome& outcome);

  std::uint64_t num_tokens() const;

 private:
  struct Choice {
    AnswerText text;
    LogprobList logprobs;
    std::uint32_t next = 0;
    bool ended = false;
    EventId::Choice seen;  // By the client, before this stream.
    FinishReason reason = FinishReason::kLength;
    std::vector<CompletionToken> tokens;  // For the receipt.
  };

  std::string token_event(std::uint32_t index, const CompletionToken& token);
  std::string end_event(std::uint32_t index, const ChoiceEnd& end);
  std::string event(std::uint32_t index, std::string text, const char* finish_reason);
  std::string event_id() const;

  AnswerForm form_;
  bool resumed_;
  std::size_t start_characters_ = 0;  // Of the echoed prompt.
  std::vector<Choice> choices_;
};

// One event. `id` empty: none. Requires: `data` has no line break.
std::string sse_event(std::string_view id, std::string_view data);

}  // namespace lockstep
