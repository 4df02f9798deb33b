// One answer of an OpenAI-compatible endpoint as a load generator sees it: when its pieces came and
// what it said of its tokens. Times are the caller's.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/sse_reader.h"

namespace lockstep {

struct Answer {
  bool completed = false;
  std::string error;                          // Why not.
  double start_s = 0;                         // When the request was sent.
  double first_token_s = 0;                   // From then until the first piece; 0 when none came.
  double latency_s = 0;                       // From then until the last piece.
  std::vector<double> gap_s;                  // Between one piece and the next.
  std::optional<std::int64_t> prompt_tokens;  // As the usage says, where it was sent.
  std::optional<std::int64_t> completion_tokens;
  std::string text;
};

// Reads the body of a streamed completion or chat completion. As vLLM counts: every event with a
// choice is a piece, whether it carries text or not.
class AnswerReader {
 public:
  static constexpr std::size_t kMaxTextBytes = 16 << 20;

  explicit AnswerReader(double start_s) { answer_.start_s = start_s; }

  void push(std::string_view bytes, double now_s);

  // The answer after the last byte; it has failed if the stream ended before `[DONE]`.
  Answer finish() &&;
  // The answer of a request that failed in another way.
  Answer fail(std::string why) &&;

 private:
  void take_event(const std::string& data, double now_s);
  void take_piece(std::string_view text, double now_s);

  SseReader events_;
  Answer answer_;
  std::optional<double> last_s_;  // When the last piece came.
  bool ended_ = false;            // `[DONE]` has come.
};

// What an error response says: the `message` of OpenAI's error object, or else the start of the
// body in one line.
std::string error_text(std::string_view body);

}  // namespace lockstep
