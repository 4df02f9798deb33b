#include "scheduler/gateway/api/generation_request.h"

#include <gtest/gtest.h>

#include <array>

namespace lockstep {
namespace {

// A body with one field more than it needs.
std::string completion_with(const std::string& field) {
  return R"({"model":"m","prompt":"a",)" + field + "}";
}
std::string chat_with(const std::string& field) {
  return R"({"model":"m","messages":[{"role":"user","content":"a"}],)" + field + "}";
}

GenerationRequest parse_ok(std::string_view route, const std::string& body) {
  auto parsed = parse_generation_request(route, body);
  if (const auto* error = std::get_if<ApiError>(&parsed)) {
    ADD_FAILURE() << body << ": " << error->message;
    return {};
  }
  return std::get<GenerationRequest>(std::move(parsed));
}

ApiError parse_error(std::string_view route, const std::string& body) {
  auto parsed = parse_generation_request(route, body);
  if (std::holds_alternative<GenerationRequest>(parsed)) {
    ADD_FAILURE() << body << " is accepted";
    return {};
  }
  return std::get<ApiError>(parsed);
}

TEST(ParseGenerationRequest, FillsInOpenAiDefaults) {
  const GenerationRequest request = parse_ok(kCompletionsRoute, R"({"prompt":"a"})");
  EXPECT_EQ(request.sampling.temperature, 1.0F);
  EXPECT_EQ(request.sampling.top_p, 1.0F);
  EXPECT_EQ(request.sampling.max_completion_tokens, 16U);
  EXPECT_FALSE(request.has_seed);
  EXPECT_EQ(request.num_choices, 1U);
  EXPECT_EQ(request.answer.num_top_logprobs, -1);
  EXPECT_FALSE(request.answer.stream);
  EXPECT_EQ(request.sampling.trace, TraceKind::kTokens);
  EXPECT_FALSE(parse_ok(kChatRoute, chat_with(R"("n":1)")).has_max_tokens);
}

TEST(ParseGenerationRequest, TakesEveryFieldOfACompletion) {
  const GenerationRequest request = parse_ok(kCompletionsRoute, R"({
    "model":"m","prompt":[1,2,3],"max_tokens":7,"temperature":0.5,"top_p":0.25,"n":3,
    "stream":true,"stream_options":{"include_usage":true},"logprobs":2,"stop":["x","yz"],
    "presence_penalty":-1,"frequency_penalty":1.5,"logit_bias":{"9":-100,"3":2.5},"seed":-1,
    "user":"u","top_k":40,"min_p":0.125,"repetition_penalty":1.25,"ignore_eos":true,
    "lockstep":{"receipt":true,"priority":"batch"}})");
  EXPECT_EQ(request.model, "m");
  EXPECT_EQ(std::get<std::vector<std::uint32_t>>(request.prompt),
            (std::vector<std::uint32_t>{1, 2, 3}));
  EXPECT_EQ(request.sampling.max_completion_tokens, 7U);
  EXPECT_EQ(request.sampling.temperature, 0.5F);
  EXPECT_EQ(request.sampling.top_p, 0.25F);
  EXPECT_EQ(request.sampling.top_k, 40U);
  EXPECT_EQ(request.sampling.min_p, 0.125F);
  EXPECT_EQ(request.sampling.repetition_penalty, 1.25F);
  EXPECT_EQ(request.sampling.presence_penalty, -1.0F);
  EXPECT_EQ(request.sampling.frequency_penalty, 1.5F);
  EXPECT_EQ(request.sampling.stop, (std::vector<std::string>{"x", "yz"}));
  EXPECT_EQ(request.sampling.logit_bias,
            (std::vector<std::pair<std::uint32_t, float>>{{3, 2.5F}, {9, -100.0F}}));
  EXPECT_EQ(request.sampling.seed, UINT64_MAX);
  EXPECT_TRUE(request.sampling.ignore_eos);
  EXPECT_EQ(request.sampling.trace, TraceKind::kLogits);
  EXPECT_EQ(request.num_choices, 3U);
  EXPECT_TRUE(request.answer.stream && request.answer.include_usage && request.answer.receipt);
  EXPECT_EQ(request.answer.num_top_logprobs, 2);
  EXPECT_EQ(request.priority, PriorityClass::kBatch);
}

TEST(ParseGenerationRequest, TakesATextAloneOrInAList) {
  for (const char* body : {R"({"prompt":"a b"})", R"({"prompt":["a b"]})"}) {
    EXPECT_EQ(std::get<std::string>(parse_ok(kCompletionsRoute, body).prompt), "a b");
  }
  EXPECT_EQ(std::get<std::vector<std::uint32_t>>(
                parse_ok(kCompletionsRoute, R"({"prompt":[[4,5]]})").prompt),
            (std::vector<std::uint32_t>{4, 5}));
  EXPECT_EQ(parse_error(kCompletionsRoute, R"({"prompt":["a","b"]})").param, "prompt");
}

TEST(ParseGenerationRequest, JoinsTextPartsAndOpensToolArguments) {
  const GenerationRequest request = parse_ok(kChatRoute, R"({"messages":[
    {"role":"user","content":[{"type":"text","text":"a"},{"type":"text","text":"b"}]},
    {"role":"assistant","content":null,"tool_calls":[{"id":"1","type":"function",
      "function":{"name":"f","arguments":"{\"z\":1,\"a\":2}"}}]},
    {"role":"tool","tool_call_id":"1","content":"3"}],
    "tools":[{"type":"function","function":{"name":"f","parameters":{}}}]})");
  const auto& chat = std::get<ChatPrompt>(request.prompt);
  EXPECT_EQ(chat.messages[0]["content"], "a\nb");
  EXPECT_EQ(chat.messages[1]["tool_calls"][0]["function"]["arguments"].dump(), R"({"z":1,"a":2})");
  EXPECT_EQ(chat.messages[2]["tool_call_id"], "1");
  EXPECT_EQ(chat.tools.size(), 1U);
}

TEST(ParseGenerationRequest, PassesNoToolsWhenTheClientWantsNone) {
  const GenerationRequest request = parse_ok(
      kChatRoute,
      chat_with(R"("tools":[{"type":"function","function":{"name":"f"}}],"tool_choice":"none")"));
  EXPECT_TRUE(std::get<ChatPrompt>(request.prompt).tools.is_null());
}

struct Refusal {
  const char* field;
  const char* param;
};

TEST(ParseGenerationRequest, NamesTheFieldThatIsWrong) {
  constexpr std::array kBoth = {
      Refusal{R"("temperature":2.5)", "temperature"},
      Refusal{R"("temperature":"1")", "temperature"},
      Refusal{R"("top_p":0)", "top_p"},
      Refusal{R"("top_k":-2)", "top_k"},
      Refusal{R"("min_p":1.5)", "min_p"},
      Refusal{R"("repetition_penalty":0)", "repetition_penalty"},
      Refusal{R"("presence_penalty":-3)", "presence_penalty"},
      Refusal{R"("n":0)", "n"},
      Refusal{R"("n":1.5)", "n"},
      Refusal{R"("seed":18446744073709551615)", "seed"},
      Refusal{R"("stop":[""])", "stop"},
      Refusal{R"("stop":7)", "stop"},
      Refusal{R"("logit_bias":{"x":1})", "logit_bias"},
      Refusal{R"("logit_bias":{"1":101})", "logit_bias"},
      Refusal{R"("logit_bias":{"1":1,"01":1})", "logit_bias"},
      Refusal{R"("max_tokens":0)", "max_tokens"},
      Refusal{R"("stream":1)", "stream"},
      Refusal{R"("stream_options":{"include_usage":true})", "stream_options"},
      Refusal{R"("stream":true,"stream_options":{"x":true})", "stream_options.x"},
      Refusal{R"("lockstep":{"receit":true})", "lockstep.receit"},
      Refusal{R"("lockstep":{"priority":"first"})", "lockstep.priority"},
      Refusal{R"("response_format":{"type":"json_object"})", "response_format"},
      Refusal{R"("never_heard_of":1)", "never_heard_of"},
      Refusal{R"("stop_token_ids":[1])", "stop_token_ids"},
  };
  for (const Refusal& refusal : kBoth) {
    EXPECT_EQ(parse_error(kCompletionsRoute, completion_with(refusal.field)).param, refusal.param);
    EXPECT_EQ(parse_error(kChatRoute, chat_with(refusal.field)).param, refusal.param);
  }
}

TEST(ParseGenerationRequest, NamesTheFieldOfItsRoute) {
  EXPECT_EQ(parse_error(kCompletionsRoute, completion_with(R"("logprobs":21)")).param, "logprobs");
  EXPECT_EQ(parse_error(kCompletionsRoute, completion_with(R"("echo":true,"logprobs":1)")).param,
            "logprobs");
  EXPECT_EQ(parse_error(kCompletionsRoute, completion_with(R"("best_of":2)")).param, "best_of");
  EXPECT_EQ(parse_error(kCompletionsRoute, completion_with(R"("messages":[])")).param, "messages");
  EXPECT_EQ(parse_error(kCompletionsRoute, R"({"prompt":[1,-2]})").param, "prompt");
  EXPECT_EQ(parse_error(kCompletionsRoute, "{}").param, "prompt");
  EXPECT_EQ(parse_error(kChatRoute, "{}").param, "messages");
  EXPECT_EQ(parse_error(kChatRoute, chat_with(R"("top_logprobs":2)")).param, "top_logprobs");
  EXPECT_EQ(parse_error(kChatRoute, chat_with(R"("tool_choice":"required")")).param, "tool_choice");
  EXPECT_EQ(parse_error(kChatRoute, chat_with(R"("max_tokens":1,"max_completion_tokens":2)")).param,
            "max_tokens");
  EXPECT_EQ(parse_error(kChatRoute, chat_with(R"("echo":true)")).param, "echo");
}

TEST(ParseGenerationRequest, NamesThePlaceInsideMessages) {
  const auto param = [](const std::string& message) {
    return parse_error(kChatRoute,
                       R"({"messages":[{"role":"user","content":"a"},)" + message + "]}")
        .param;
  };
  EXPECT_EQ(param(R"({"role":"wizard","content":"a"})"), "messages[1].role");
  EXPECT_EQ(param(R"({"role":"user"})"), "messages[1].content");
  EXPECT_EQ(param(R"({"role":"user","content":[{"type":"image_url","text":""}]})"),
            "messages[1].content[0].type");
  EXPECT_EQ(param(R"({"role":"user","content":"a","audio":1})"), "messages[1].audio");
  EXPECT_EQ(
      param(R"({"role":"assistant","tool_calls":[{"function":{"name":"f","arguments":"["}}]})"),
      "messages[1].tool_calls[0].function.arguments");
}

TEST(ParseGenerationRequest, RefusesWhatIsNoJsonObject) {
  EXPECT_EQ(parse_error(kChatRoute, "").status, 400);
  EXPECT_EQ(parse_error(kChatRoute, "[]").param, "body");
  EXPECT_EQ(parse_error(kChatRoute, std::string(100, '[') + std::string(100, ']')).status, 400);
}

TEST(ParseGenerationRequest, TakesNullForAbsent) {
  parse_ok(kCompletionsRoute, completion_with(R"("stop":null,"seed":null,"response_format":null)"));
}

}  // namespace
}  // namespace lockstep
