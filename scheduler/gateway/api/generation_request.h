// The bodies of /v1/completions and /v1/chat/completions, as OpenAI and vLLM write them, checked
// field by field. Pure; knows no model: what depends on one is model_text.h.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "base/sampling.h"
#include "scheduler/gateway/api/api_error.h"
#include "scheduler/priority.h"
#include "sharding/chat_template.h"

namespace lockstep {

inline constexpr std::string_view kCompletionsRoute = "/v1/completions";
inline constexpr std::string_view kChatRoute = "/v1/chat/completions";

// What bounds a request apart from the model's context.
inline constexpr std::int64_t kMaxChoices = 128;
inline constexpr std::int64_t kMaxTopLogprobs = 20;
inline constexpr std::size_t kMaxStops = 16;
inline constexpr std::size_t kMaxStopBytes = 1024;
inline constexpr std::size_t kMaxLogitBiases = 1024;
inline constexpr std::size_t kMaxMessages = 4096;
inline constexpr std::size_t kMaxTools = 128;
inline constexpr std::uint32_t kDefaultCompletionTokens = 16;  // Of /v1/completions.

// The form in which the client wants its answer; nothing of it changes the tokens.
struct AnswerOptions {
  bool chat = false;
  bool stream = false;
  bool include_usage = false;          // A chunk with the usage before the end of a stream.
  bool echo = false;                   // The prompt in front of the text.
  bool receipt = false;                // The result hashes.
  std::int32_t num_top_logprobs = -1;  // -1: no log probabilities.
};

struct ChatPrompt {
  OrderedJson messages;
  OrderedJson tools;  // null: none.
};

struct GenerationRequest {
  std::string model;  // Empty: the one there is.
  AnswerOptions answer;
  // Without what is found out later: seed when `has_seed` is false, max_completion_tokens when
  // `has_max_tokens` is false, context_limit.
  SamplingParams sampling;
  bool has_seed = false;
  bool has_max_tokens = false;
  std::uint32_t num_choices = 1;
  std::optional<PriorityClass> priority;
  std::variant<std::string, std::vector<std::uint32_t>, ChatPrompt> prompt;
};

// `route` is one of the two above.
OrApiError<GenerationRequest> parse_generation_request(std::string_view route,
                                                       std::string_view body);
OrApiError<GenerationRequest> read_generation_request(std::string_view route,
                                                      const OrderedJson& body);

}  // namespace lockstep
