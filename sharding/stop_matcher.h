// Finds stop strings in text that comes in pieces, and holds back what could still become one.
// Pure.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace lockstep {

class StopMatcher {
 public:
  // Requires: no stop string is empty.
  explicit StopMatcher(std::vector<std::string> stops);

  // Takes more text and returns what can be shown: everything but a tail that begins a stop string.
  // At a match, the text in front of it; matched() is then true and later text is dropped. The stop
  // string that is complete first wins, of those that end together the longest: so it does not
  // matter how the text is cut into pieces.
  std::string push(std::string_view text);

  // What was held back, once no more text comes.
  std::string finish();

  bool matched() const { return matched_; }

 private:
  std::vector<std::string> stops_;
  std::string held_;
  bool matched_ = false;
};

}  // namespace lockstep
