#include "scheduler/batch_input.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace lockstep {
namespace {

using testing::HasSubstr;

constexpr const char* kEndpoint = "/v1/completions";

std::string line_of(const std::string& custom_id, const std::string& body = "{}") {
  return R"({"custom_id": ")" + custom_id + R"(", "method": "POST", "url": "/v1/completions", )" +
         R"("body": )" + body + "}\n";
}

BatchValidator::Verdict validate(std::string_view text, std::size_t piece_bytes = 1 << 20) {
  BatchValidator validator(kEndpoint);
  for (std::size_t at = 0; at < text.size(); at += piece_bytes) {
    if (!validator.feed(text.substr(at, piece_bytes))) break;
  }
  return validator.finish();
}

TEST(ParseBatchLine, GivesTheBodyAsItStands) {
  const std::string body = R"({ "z": "a \" } {", "a" : [1.50, {"b":"]"}], "body": {"x": 1} })";
  const ParsedBatchLine parsed = parse_batch_line(line_of("id", body), kEndpoint);
  EXPECT_EQ(parsed.error, BatchError());
  EXPECT_EQ(parsed.line.custom_id, "id");
  EXPECT_EQ(parsed.line.body, body);
}

TEST(ParseBatchLine, TakesMembersInAnyOrder) {
  const ParsedBatchLine parsed = parse_batch_line(
      R"({"body":{"n":1},"url":"/v1/completions","custom_id":"\u0061","method":"POST"})",
      kEndpoint);
  EXPECT_EQ(parsed.error.code, "");
  EXPECT_EQ(parsed.line.custom_id, "a");
  EXPECT_EQ(parsed.line.body, R"({"n":1})");
}

TEST(ParseBatchLine, NamesWhatIsWrong) {
  const struct {
    const char* text;
    const char* code;
    const char* param;
  } cases[] = {
      {"{", "invalid_json_line", ""},
      {"[]", "invalid_json_line", ""},
      {R"({"custom_id":"a","custom_id":"b"})", "invalid_json_line", ""},
      {"{}", "missing_required_parameter", "custom_id"},
      {R"({"custom_id":1})", "invalid_value", "custom_id"},
      {R"({"custom_id":"a"})", "missing_required_parameter", "method"},
      {R"({"custom_id":"a","method":"GET"})", "invalid_value", "method"},
      {R"({"custom_id":"a","method":"POST","url":"/v1/embeddings"})", "invalid_value", "url"},
      {R"({"custom_id":"a","method":"POST","url":"/v1/completions"})", "missing_required_parameter",
       "body"},
      {R"({"custom_id":"a","method":"POST","url":"/v1/completions","body":[]})", "invalid_value",
       "body"},
      {R"({"custom_id":"","method":"POST","url":"/v1/completions","body":{}})", "invalid_value",
       "custom_id"},
      {R"({"custom_id":"a","method":"POST","url":"/v1/completions","body":{},"x":1})",
       "invalid_value", ""},
  };
  for (const auto& one : cases) {
    const BatchError error = parse_batch_line(one.text, kEndpoint).error;
    EXPECT_EQ(error.code, one.code) << one.text;
    EXPECT_EQ(error.param, one.param) << one.text;
    EXPECT_FALSE(error.message.empty()) << one.text;
  }
}

TEST(BatchValidator, CountsLinesHoweverTheBytesAreCut) {
  const std::string text = line_of("a") + "\r\n\n" + line_of("b") + line_of("c", R"({"x":"\n"})");
  const std::string without_end = text.substr(0, text.size() - 1);
  for (const std::size_t piece : {1U, 2U, 7U, 64U, 4096U}) {
    for (const std::string& one : {text, without_end}) {
      const BatchValidator::Verdict verdict = validate(one, piece);
      EXPECT_EQ(verdict.num_lines, 3U);
      EXPECT_TRUE(verdict.errors.empty()) << verdict.errors[0].message;
    }
  }
}

TEST(BatchValidator, NamesTheLineOfADuplicate) {
  const BatchValidator::Verdict verdict =
      validate(line_of("a") + "\n" + line_of("b") + line_of("a"));
  ASSERT_EQ(verdict.errors.size(), 1U);
  EXPECT_EQ(verdict.errors[0].code, "duplicate_custom_id");
  EXPECT_EQ(verdict.errors[0].line, 4U);
  EXPECT_EQ(verdict.errors[0].param, "custom_id");
  EXPECT_THAT(verdict.errors[0].message, HasSubstr("line 1"));
}

TEST(BatchValidator, StopsAfterAHundredErrors) {
  std::string text;
  for (int i = 0; i < 300; ++i) text += "x\n";
  const BatchValidator::Verdict verdict = validate(text, 10);
  EXPECT_EQ(verdict.errors.size(), kMaxBatchErrors);
  EXPECT_EQ(verdict.errors.back().line, 100U);
}

TEST(BatchValidator, RefusesAnEmptyFile) {
  for (const char* text : {"", "\n\n", "  \r\n"}) {
    const BatchValidator::Verdict verdict = validate(text);
    ASSERT_EQ(verdict.errors.size(), 1U);
    EXPECT_EQ(verdict.errors[0].code, "empty_file");
  }
}

TEST(BatchValidator, RefusesALineTooMany) {
  BatchValidator validator(kEndpoint);
  for (std::uint32_t i = 0; i < kMaxBatchLines; ++i) {
    ASSERT_TRUE(validator.feed(line_of(std::to_string(i))));
  }
  EXPECT_FALSE(validator.feed(line_of("x")));
  const BatchValidator::Verdict verdict = validator.finish();
  ASSERT_EQ(verdict.errors.size(), 1U);
  EXPECT_EQ(verdict.errors[0].code, "too_many_lines");
}

TEST(BatchValidator, RefusesALineThatIsTooLong) {
  BatchValidator validator(kEndpoint);
  const std::string piece(1 << 20, 'x');
  for (int i = 0; i < 8; ++i) EXPECT_TRUE(validator.feed(piece));
  EXPECT_FALSE(validator.feed("x"));
  const BatchValidator::Verdict verdict = validator.finish();
  ASSERT_EQ(verdict.errors.size(), 1U);
  EXPECT_EQ(verdict.errors[0].code, "line_too_long");
}

TEST(BatchValidator, RefusesAFileThatIsTooLarge) {
  BatchValidator validator(kEndpoint);
  const std::string piece = std::string((8 << 20) - 1, ' ') + "\n";
  for (int i = 0; i < 64; ++i) ASSERT_TRUE(validator.feed(piece));
  EXPECT_FALSE(validator.feed("\n"));
  EXPECT_EQ(validator.finish().errors[0].code, "file_too_large");
}

TEST(LineSplitter, GoesOnBehindWhatWasRead) {
  const std::string text = "one\n\ntwo\r\nthree";
  std::vector<std::string> seen;
  std::uint32_t lines = 0;
  std::uint64_t bytes = 0;
  for (int i = 0; i < 3; ++i) {
    LineSplitter splitter(lines, bytes);
    const auto take_one = [&](const LineSplitter::Line& line) {
      seen.emplace_back(line.text);
      lines = line.number;
      bytes = line.end_offset;
      return false;
    };
    const Result<bool> more = splitter.feed(std::string_view(text).substr(bytes), take_one);
    ASSERT_TRUE(more.ok());
    if (more.value()) {
      ASSERT_TRUE(splitter.finish(take_one).ok());
    }
  }
  EXPECT_EQ(seen, (std::vector<std::string>{"one", "two", "three"}));
  EXPECT_EQ(lines, 4U);
  EXPECT_EQ(bytes, text.size());
}

}  // namespace
}  // namespace lockstep
