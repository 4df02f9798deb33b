#include "scheduler/batch_lines.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/support/fake_model.h"

namespace lockstep {
namespace {

using testing::HasSubstr;

constexpr const char* kRoute = "/v1/completions";

BatchLines lines() { return BatchLines(fake_model_text()); }

BatchLine line(std::string body, std::string url = kRoute) {
  return {.custom_id = "a", .url = std::move(url), .body = std::move(body)};
}

StoredJob ended(const BatchLine& asked, JobState state) {
  StoredJob job;
  job.record = lines().make_job(asked, "salt", 1'000).record;
  job.state = state;
  job.outcome.state = state;
  job.choices.resize(job.record.num_choices);
  for (ChoiceRecord& choice : job.choices) {
    CompletionToken token;
    token.token = kFakeFirstByte + 'x';
    choice.tokens = {token};
    choice.end = ChoiceEnd{};
  }
  return job;
}

TEST(BatchLinesCheck, SaysWhatTheApiWouldSay) {
  const struct {
    BatchLine line;
    const char* code;
    const char* param;
  } cases[] = {
      {line(R"({"prompt": "hi", "model": "fake"})"), "", ""},
      {line(R"({"prompt": "hi", "temperature": 3})"), "invalid_value", "body.temperature"},
      {line(R"({"prompt": "hi", "nonsense": 1})"), "unsupported_parameter", "body.nonsense"},
      {line(R"({"prompt": "hi", "model": "gpt"})"), "model_not_found", "body.model"},
      {line(R"({"prompt": "hi", "stream": true})"), "invalid_value", "body.stream"},
      {line(R"({"prompt": "hi", "lockstep": {"priority": "normal"}})"), "invalid_value",
       "body.lockstep.priority"},
      {line(R"({"prompt": "hi", "lockstep": {"priority": "batch"}})"), "", ""},
      {line(R"({"prompt": "hi"})", "/v1/embeddings"), "invalid_value", "url"},
      {line(R"({"prompt": "hi"})", "/v1/chat/completions"), "invalid_value", "body.messages"},
  };
  for (const auto& [asked, code, param] : cases) {
    const BatchError error = lines().check(asked);
    EXPECT_EQ(error.code, code) << asked.body;
    EXPECT_EQ(error.param, param) << asked.body;
  }
}

TEST(BatchLinesMakeJob, IsOfClassBatchAndKeepsTheBody) {
  const BatchLine asked = line(R"({"prompt": "hi",  "n": 2})");
  const LineJob job = lines().make_job(asked, "salt", 1'000);
  ASSERT_TRUE(job.status.ok());
  EXPECT_EQ(job.record.kind, JobKind::kBatchLine);
  EXPECT_EQ(job.record.priority, PriorityClass::kBatch);
  EXPECT_EQ(job.record.request_json, asked.body);
  EXPECT_EQ(job.record.custom_id, "a");
  EXPECT_EQ(job.record.num_choices, 2U);
  EXPECT_TRUE(job.record.keep_without_client);
}

TEST(BatchLinesMakeJob, SeedsByTheSaltAndTheCustomId) {
  BatchLine asked = line(R"({"prompt": "hi", "temperature": 1})");
  const auto seed = [&](const char* salt) {
    return lines().make_job(asked, salt, 1'000).record.sampling.seed;
  };
  const std::uint64_t first = seed("s");
  EXPECT_EQ(seed("s"), first);
  EXPECT_NE(seed("t"), first);
  asked.custom_id = "b";
  EXPECT_NE(seed("s"), first);
  asked.body = R"({"prompt": "hi", "temperature": 1, "seed": 7})";
  EXPECT_EQ(seed("s"), 7U);
}

TEST(BatchLinesResult, HoldsTheAnswer) {
  const BatchLineResult result =
      lines().result_of(ended(line(R"({"prompt": "hi"})"), JobState::kDone), {});
  EXPECT_TRUE(is_output(result));
  EXPECT_EQ(result.custom_id, "a");
  EXPECT_THAT(result.body_json, HasSubstr(R"("text":"x")"));
  const auto written = parse_output_line(batch_output_line(result));
  ASSERT_TRUE(written.ok());
  EXPECT_EQ(written.value().custom_id, "a");
  EXPECT_EQ(written.value().fingerprint, lines().fingerprint());
}

TEST(BatchLinesResult, SaysWhatTheModelCouldNotTake) {
  const BatchLine asked = line(R"({"prompt": "hi", "max_tokens": 100000})");
  const LineJob job = lines().make_job(asked, "salt", 1'000);
  EXPECT_THAT(job.status.error().message, HasSubstr("max_tokens"));
  const BatchLineResult result = lines().result_of(ended(asked, JobState::kFailed), {});
  EXPECT_EQ(result.status_code, 400);
  EXPECT_THAT(result.body_json, HasSubstr("context_length_exceeded"));
}

TEST(BatchLinesResult, SaysWhyALineDidNotEnd) {
  const BatchLine asked = line(R"({"prompt": "hi"})");
  BatchRecord batch;
  batch.is_cancelled = true;
  EXPECT_EQ(lines().result_of(ended(asked, JobState::kCancelled), batch).error_code,
            kBatchCancelledCode);
  EXPECT_EQ(lines().result_of(ended(asked, JobState::kExpired), batch).error_code,
            kBatchExpiredCode);
  // By its own id, not with its batch.
  EXPECT_EQ(lines().result_of(ended(asked, JobState::kCancelled), {}).status_code, 409);
  EXPECT_EQ(lines().result_of(ended(asked, JobState::kFailed), {}).status_code, 500);
}

TEST(BatchLinesResult, DoesNotReadTheTokensOfAnotherModel) {
  StoredJob job = ended(line(R"({"prompt": "hi"})"), JobState::kDone);
  job.record.model_id = Digest{};
  const BatchLineResult result = lines().result_of(job, {});
  EXPECT_EQ(result.status_code, 500);
  EXPECT_THAT(result.body_json, HasSubstr("no longer served"));
}

TEST(ParseOutputLine, RefusesWhatIsNone) {
  for (const char* text : {"", "{", "[]", "1", "{}", R"({"custom_id":1,"response":null})",
                           R"({"custom_id":"a"})", R"({"response":null})"}) {
    EXPECT_EQ(parse_output_line(text).error().code, ErrorCode::kCorrupt) << text;
  }
  EXPECT_EQ(parse_output_line(R"({"custom_id":"a","response":null})").value().fingerprint, "");
}

}  // namespace
}  // namespace lockstep
