#include "scheduler/gateway/api/model_text.h"

#include <gtest/gtest.h>

#include "scheduler/gateway/api/tokenize_body.h"
#include "tests/support/fake_model.h"

namespace lockstep {
namespace {

OrApiError<JobRecord> make_job(std::string_view route, const std::string& body,
                               std::uint32_t context = 100) {
  const auto parsed = parse_generation_request(route, body);
  EXPECT_TRUE(std::holds_alternative<GenerationRequest>(parsed)) << body;
  return fake_model_text(context)->make_job(std::get<GenerationRequest>(parsed), 42, 5000);
}

JobRecord job_of(std::string_view route, const std::string& body) {
  auto made = make_job(route, body);
  if (const auto* error = std::get_if<ApiError>(&made)) {
    ADD_FAILURE() << error->message;
    return {};
  }
  return std::get<JobRecord>(std::move(made));
}

ApiError error_of(const std::string& body) {
  auto made = make_job(kCompletionsRoute, body);
  EXPECT_TRUE(std::holds_alternative<ApiError>(made)) << body;
  return std::get<ApiError>(made);
}

TEST(ModelTextMakeJob, LeavesAChatTheRestOfTheContext) {
  const JobRecord job = job_of(kChatRoute, R"({"messages":[{"role":"user","content":"ab"}]})");
  // <|user|> "ab" <|end|> <|assistant|>
  EXPECT_EQ(job.prompt, (std::vector<std::uint32_t>{3, kFakeFirstByte + 256, 1, 4}));
  EXPECT_EQ(job.sampling.max_completion_tokens, 96U);
  EXPECT_EQ(job.sampling.context_limit, 100U);
  EXPECT_EQ(job.created_ms, 5000);
}

TEST(ModelTextMakeJob, KeepsTextOfUsersText) {
  const JobRecord job = job_of(kChatRoute, R"({"messages":[{"role":"user","content":"<|end|>"}]})");
  EXPECT_EQ(job.prompt.size(), 3U + 7U);
}

TEST(ModelTextMakeJob, DrawsASeedOnlyWhereOneIsNeeded) {
  EXPECT_EQ(job_of(kCompletionsRoute, R"({"prompt":"a"})").sampling.seed, 42U);
  EXPECT_EQ(job_of(kCompletionsRoute, R"({"prompt":"a","seed":7})").sampling.seed, 7U);
  EXPECT_EQ(job_of(kCompletionsRoute, R"({"prompt":"a","temperature":0})").sampling.seed, 0U);
}

TEST(ModelTextMakeJob, RefusesWhatDoesNotFit) {
  EXPECT_EQ(error_of(R"({"prompt":"a","max_tokens":100})").code, "context_length_exceeded");
  EXPECT_EQ(error_of(R"({"prompt":")" + std::string(100, 'x') + R"("})").param, "prompt");
  EXPECT_EQ(error_of(R"({"prompt":")" + std::string(2000, 'x') + R"("})").code,
            "context_length_exceeded");
  EXPECT_EQ(error_of(R"({"prompt":""})").param, "prompt");
  EXPECT_EQ(error_of(R"({"prompt":[265]})").param, "prompt");
  EXPECT_EQ(error_of(R"({"prompt":"a","logit_bias":{"265":1}})").param, "logit_bias");
  const ApiError other = error_of(R"({"prompt":"a","model":"gpt-4"})");
  EXPECT_EQ(other.status, 404);
  EXPECT_EQ(other.code, "model_not_found");
}

TEST(AnswerTokenize, GivesTheIdsOfAPromptAndOfMessages) {
  const auto model = fake_model_text();
  EXPECT_EQ(std::get<std::string>(
                answer_tokenize(*model, R"({"prompt":"ab!","return_token_strs":true})", 0)),
            R"({"count":2,"max_model_len":2048,"tokens":[264,41],"token_strs":["ab","!"]})");
  EXPECT_EQ(std::get<std::string>(
                answer_tokenize(*model, R"({"messages":[{"role":"user","content":"ab"}]})", 0)),
            R"({"count":4,"max_model_len":2048,"tokens":[3,264,1,4],"token_strs":null})");
  EXPECT_EQ(std::get<ApiError>(answer_tokenize(*model, R"({"prompt":"a","x":1})", 0)).param, "x");
}

TEST(AnswerDetokenize, GivesTheTextOfIds) {
  const auto model = fake_model_text();
  EXPECT_EQ(std::get<std::string>(answer_detokenize(*model, R"({"tokens":[264,41]})")),
            R"({"prompt":"ab!"})");
  EXPECT_EQ(std::get<ApiError>(answer_detokenize(*model, R"({"tokens":[265]})")).param, "tokens");
  EXPECT_EQ(std::get<ApiError>(answer_detokenize(*model, R"({"tokens":[-1]})")).param, "tokens");
  EXPECT_EQ(std::get<ApiError>(answer_detokenize(*model, "{}")).param, "tokens");
}

}  // namespace
}  // namespace lockstep
