#include "scheduler/gateway/api/generation_request.h"

#include <algorithm>

#include "base/check.h"
#include "scheduler/gateway/api/chat_messages.h"
#include "scheduler/gateway/api/sampling_fields.h"

namespace lockstep {
namespace {

// A text, a list of token ids, or a list with one of either.
void read_prompt(FieldReader& fields, GenerationRequest& request) {
  const OrderedJson* prompt = fields.take("prompt");
  if (prompt == nullptr) return fields.fail("prompt", "is missing");
  if (prompt->is_array() && !prompt->empty() && !prompt->front().is_number()) {
    if (prompt->size() > 1) {
      return fields.fail("prompt",
                         "several prompts in one request are not supported; send one each");
    }
    prompt = &prompt->front();
  }
  if (prompt->is_string()) {
    request.prompt = prompt->get<std::string>();
  } else if (prompt->is_array()) {
    if (auto ids = read_token_ids(*prompt, "prompt", fields)) request.prompt = std::move(*ids);
  } else {
    fields.fail("prompt", "expected a string or a list of token ids");
  }
}

void set_max_tokens(const std::optional<std::int64_t>& tokens, GenerationRequest& request) {
  if (!tokens) return;
  request.sampling.max_completion_tokens = static_cast<std::uint32_t>(*tokens);
  request.has_max_tokens = true;
}

void read_completion(FieldReader& fields, GenerationRequest& request) {
  read_prompt(fields, request);
  request.sampling.max_completion_tokens = kDefaultCompletionTokens;
  request.has_max_tokens = true;
  set_max_tokens(fields.integer("max_tokens", 1, INT32_MAX), request);
  request.answer.echo = fields.flag("echo").value_or(false);
  if (const auto top = fields.integer("logprobs", 0, kMaxTopLogprobs)) {
    request.answer.num_top_logprobs = static_cast<std::int32_t>(*top);
    if (request.answer.echo) {
      fields.fail("logprobs", "is not supported together with echo: a prompt has none here");
    }
  }
}

void read_chat(FieldReader& fields, GenerationRequest& request) {
  request.answer.chat = true;
  ChatPrompt prompt;
  prompt.messages = read_messages(fields);
  prompt.tools = read_tools(fields);
  request.prompt = std::move(prompt);
  const auto old_name = fields.integer("max_tokens", 1, INT32_MAX);
  const auto new_name = fields.integer("max_completion_tokens", 1, INT32_MAX);
  if (old_name && new_name && *old_name != *new_name) {
    fields.fail("max_tokens", "differs from max_completion_tokens; give one of them");
  }
  set_max_tokens(new_name ? new_name : old_name, request);
  const bool logprobs = fields.flag("logprobs").value_or(false);
  const auto top = fields.integer("top_logprobs", 0, kMaxTopLogprobs);
  if (top && !logprobs) fields.fail("top_logprobs", "needs logprobs: true");
  if (logprobs) request.answer.num_top_logprobs = static_cast<std::int32_t>(top.value_or(0));
}

}  // namespace

OrApiError<GenerationRequest> parse_generation_request(std::string_view route,
                                                       std::string_view body) {
  OrApiError<OrderedJson> json = parse_body(body);
  if (auto* error = std::get_if<ApiError>(&json)) return std::move(*error);
  return read_generation_request(route, std::get<OrderedJson>(json));
}

OrApiError<GenerationRequest> read_generation_request(std::string_view route,
                                                      const OrderedJson& body) {
  CHECK(route == kChatRoute || route == kCompletionsRoute, "no route that generates");
  GenerationRequest request;
  FieldReader fields(body);
  read_answer_fields(fields, request);
  read_sampling_fields(fields, request);
  if (route == kChatRoute) {
    read_chat(fields, request);
  } else {
    read_completion(fields, request);
  }
  fields.finish();
  if (fields.fault()) return *fields.fault();
  return request;
}

}  // namespace lockstep
