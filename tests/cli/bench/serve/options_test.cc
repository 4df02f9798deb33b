#include "cli/bench/serve/options.h"

#include <gtest/gtest.h>

#include "cli/bench/serve/request_body.h"

namespace lockstep {
namespace {

TEST(ParseMetricNames, TakesTheFourNames) {
  EXPECT_EQ(parse_metric_names("e2el,ttft").value(), (std::vector<std::string>{"e2el", "ttft"}));
  for (const char* text : {"", "ttft,", ",ttft", "ttfb", "ttft, tpot"}) {
    EXPECT_FALSE(parse_metric_names(text).ok()) << text;
  }
}

TEST(ParseKeyValue, SplitsAtTheFirstEquals) {
  EXPECT_EQ(parse_key_value(" a = b=c ").value(),
            (std::pair<std::string, std::string>("a", "b=c")));
  EXPECT_EQ(parse_key_value("a=").value().second, "");
  EXPECT_FALSE(parse_key_value("a").ok());
  EXPECT_FALSE(parse_key_value(" =b").ok());
}

std::string body_of(const ServeBenchOptions& options, const BenchPrompt& prompt) {
  const auto body = RequestBody::make(options, "m");
  return body.ok() ? body.value().text(prompt) : body.error().message;
}

TEST(RequestBodyText, AsksForAStreamedCompletion) {
  ServeBenchOptions options;
  options.temperature = 0;
  EXPECT_EQ(body_of(options, {.text = "", .ids = {7, 8}, .completion_tokens = 5}),
            R"({"model":"m","stream":true,"stream_options":{"include_usage":true},)"
            R"("ignore_eos":true,"temperature":0.0,"prompt":[7,8],"max_tokens":5})");
}

TEST(RequestBodyText, AsksForAStreamedChatCompletion) {
  ServeBenchOptions options;
  options.backend = "openai-chat";
  options.dataset_name = "custom";
  options.extra_body = R"({"x":{"y":1},"stream":false})";
  EXPECT_EQ(body_of(options, {.text = "Hi", .ids = {}, .completion_tokens = 5}),
            R"({"model":"m","stream":false,"stream_options":{"include_usage":true},"x":{"y":1},)"
            R"("messages":[{"role":"user","content":"Hi"}],"max_completion_tokens":5})");
}

TEST(RequestBodyMake, RefusesExtraMembersThatAreNoObject) {
  ServeBenchOptions options;
  options.extra_body = "[1]";
  EXPECT_EQ(body_of(options, {}), "expected a JSON object");
  options.extra_body = "{";
  EXPECT_FALSE(RequestBody::make(options, "m").ok());
}

}  // namespace
}  // namespace lockstep
