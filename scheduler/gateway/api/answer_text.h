// Completion tokens to the text that a client sees, as the replica does it that looks for stop
// strings: the same tokens give the same pieces of text, however they come. Pure.
#pragma once

#include <string>
#include <vector>

#include "sharding/stop_matcher.h"
#include "sharding/tokenizer.h"

namespace lockstep {

class AnswerText {
 public:
  // `tokenizer` must outlive this.
  AnswerText(const Tokenizer& tokenizer, std::vector<std::string> stops);

  // The text that can be shown now: whole characters, and nothing that may become a stop string.
  std::string push(TokenId id);
  // What was held back, after the last token.
  std::string finish();

  // Whether a stop string is complete.
  bool stopped() const { return stops_.matched(); }

  // Characters of the text before the tokens pushed so far, stop strings included.
  std::size_t num_characters() const { return num_characters_; }

 private:
  std::string show(const std::string& text);

  Detokenizer detokenizer_;
  StopMatcher stops_;
  std::size_t num_characters_ = 0;
};

// Unicode characters of valid UTF-8.
std::size_t count_characters(std::string_view text);

// A token as log probabilities name it: its text; "bytes:\xe2\x82" where it is no valid UTF-8 by
// itself and `as_bytes`, else with U+FFFD.
std::string token_label(const Tokenizer& tokenizer, TokenId id, bool as_bytes);
// The bytes of that text.
std::string_view token_label_bytes(const Tokenizer& tokenizer, TokenId id);

}  // namespace lockstep
