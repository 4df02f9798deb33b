#include "cli/bench/serve/answer.h"

#include <gtest/gtest.h>

namespace lockstep {
namespace {

std::string piece(const std::string& text) {
  return R"(data: {"choices":[{"index":0,"text":")" + text + "\"}]}\n\n";
}

const std::string kUsage =
    "data: {\"choices\":[],\"usage\":{\"prompt_tokens\":5,\"completion_tokens\":3}}\n\n";
const std::string kDone = "data: [DONE]\n\n";

TEST(AnswerReaderPush, TakesTheTimesOfThePieces) {
  AnswerReader reader(10.0);
  reader.push(piece("a"), 10.5);
  reader.push(piece("b"), 10.75);
  reader.push(piece("c"), 12.75);
  reader.push(kUsage + kDone, 13.0);
  const Answer answer = std::move(reader).finish();
  EXPECT_TRUE(answer.completed);
  EXPECT_EQ(answer.error, "");
  EXPECT_EQ(answer.start_s, 10.0);
  EXPECT_EQ(answer.first_token_s, 0.5);
  EXPECT_EQ(answer.gap_s, (std::vector<double>{0.25, 2.0}));
  EXPECT_EQ(answer.latency_s, 2.75);
  EXPECT_EQ(answer.text, "abc");
  EXPECT_EQ(answer.prompt_tokens, 5);
  EXPECT_EQ(answer.completion_tokens, 3);
}

TEST(AnswerReaderPush, CountsAPieceWhereItsLastByteComes) {
  AnswerReader reader(0.0);
  const std::string bytes = piece("a");
  reader.push(bytes.substr(0, bytes.size() - 1), 1.0);
  reader.push(bytes.substr(bytes.size() - 1) + kDone, 2.0);
  EXPECT_EQ(std::move(reader).finish().first_token_s, 2.0);
}

TEST(AnswerReaderPush, ReadsChatCompletions) {
  AnswerReader reader(0.0);
  reader.push(R"(data: {"choices":[{"delta":{"role":"assistant","content":null}}]})"
              "\n\n",
              1.0);
  reader.push(R"(data: {"choices":[{"delta":{"content":"Hello"}}]})"
              "\n\n" +
                  kDone,
              2.0);
  const Answer answer = std::move(reader).finish();
  EXPECT_TRUE(answer.completed);
  EXPECT_EQ(answer.text, "Hello");
  EXPECT_EQ(answer.first_token_s, 1.0);
}

TEST(AnswerReaderPush, ReadsAUsageBesideAChoice) {
  AnswerReader reader(0.0);
  reader.push(
      "data: {\"choices\":[{\"text\":\"a\"}],\"usage\":{\"completion_tokens\":7}}\n\n" + kDone,
      1.0);
  const Answer answer = std::move(reader).finish();
  EXPECT_EQ(answer.completion_tokens, 7);
  EXPECT_FALSE(answer.prompt_tokens.has_value());
}

TEST(AnswerReaderFinish, FailsAStreamThatWasCutOff) {
  AnswerReader reader(0.0);
  reader.push(piece("a"), 1.0);
  const Answer answer = std::move(reader).finish();
  EXPECT_FALSE(answer.completed);
  EXPECT_EQ(answer.error, "the stream ended before [DONE]");
}

TEST(AnswerReaderFinish, FailsAStreamWithoutAToken) {
  AnswerReader reader(0.0);
  reader.push(kUsage + kDone, 1.0);
  EXPECT_EQ(std::move(reader).finish().error, "the stream ended without a token");
}

TEST(AnswerReaderPush, FailsOnAnErrorInTheStream) {
  AnswerReader reader(0.0);
  reader.push(piece("a") + "data: {\"error\":{\"message\":\"no memory\"}}\n\n" + kDone, 1.0);
  const Answer answer = std::move(reader).finish();
  EXPECT_FALSE(answer.completed);
  EXPECT_EQ(answer.error, "no memory");
}

TEST(AnswerReaderPush, FailsOnWhatIsNoJson) {
  AnswerReader reader(0.0);
  reader.push("data: {oops\n\n" + kDone, 1.0);
  EXPECT_EQ(std::move(reader).finish().error, "an event is no JSON: {oops");
}

TEST(AnswerReaderPush, SurvivesJsonOfAnotherShape) {
  for (const char* data : {"[]", "3", "null", R"({"choices":{}})", R"({"choices":[3]})",
                           R"({"choices":[{"text":5}],"usage":[]})",
                           R"({"usage":{"prompt_tokens":-1}})", R"({"choices":[{"delta":[]}]})"}) {
    AnswerReader reader(0.0);
    reader.push("data: " + std::string(data) + "\n\n" + kDone, 1.0);
    EXPECT_EQ(std::move(reader).finish().text, "") << data;
  }
}

TEST(AnswerReaderFail, KeepsWhatCameBefore) {
  AnswerReader reader(0.0);
  reader.push(piece("a"), 1.0);
  const Answer answer = std::move(reader).fail("receive: reset");
  EXPECT_FALSE(answer.completed);
  EXPECT_EQ(answer.error, "receive: reset");
  EXPECT_EQ(answer.text, "a");
}

TEST(ErrorText, IsTheMessageOfTheErrorObject) {
  EXPECT_EQ(error_text(R"({"error":{"message":"max_tokens: too many","type":"x"}})"),
            "max_tokens: too many");
  EXPECT_EQ(error_text(R"({"error":"plain"})"), "plain");
}

TEST(ErrorText, IsElseTheStartOfTheBodyInOneLine) {
  EXPECT_EQ(error_text("<html>\nno"), "<html> no");
  EXPECT_EQ(error_text(std::string(300, 'a')), std::string(200, 'a') + "...");
}

}  // namespace
}  // namespace lockstep
