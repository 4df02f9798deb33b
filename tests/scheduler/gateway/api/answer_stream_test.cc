#include "scheduler/gateway/api/answer_stream.h"

#include <gtest/gtest.h>

#include "scheduler/gateway/api/answer_body.h"
#include "tests/support/fake_api_backend.h"

namespace lockstep {
namespace {

constexpr TokenId kByte = kFakeFirstByte;

// A request with known tokens: "hé!" in four, of which the "é" is two.
struct Fixture {
  std::shared_ptr<const ModelText> model = fake_model_text();
  JobRecord record;
  AnswerOptions options;
  std::vector<CompletionToken> tokens;

  explicit Fixture(bool chat = false) {
    options.chat = chat;
    record.id = RequestId::parse("0123456789abcdef0123456789abcdef").value();
    record.tenant = "t";
    record.prompt = {kByte + 'a', kByte + 'b'};
    record.created_ms = 1'700'000'123'456;
    record.sampling.max_completion_tokens = 4;
    for (const TokenId byte : {'h' + 0U, 0xC3U, 0xA9U, '!' + 0U}) {
      CompletionToken token;
      token.token = kByte + byte;
      tokens.push_back(token);
    }
  }
  AnswerForm form() const { return {options, &record, model.get()}; }
  static ChoiceEnd end(FinishReason reason = FinishReason::kLength) {
    ChoiceEnd end;
    end.reason = reason;
    return end;
  }
  // The events of all tokens, one read each.
  std::string stream(const std::optional<EventId>& resume) const {
    AnswerStream answer(form(), resume);
    std::string out = answer.start();
    for (std::uint32_t i = 0; i < record.num_choices; ++i) {
      for (const CompletionToken& token : tokens) out += answer.take(i, {{token}, {}});
      out += answer.take(i, {{}, end()});
    }
    return out + answer.finish({});
  }
};

constexpr const char* kHead =
    R"("id":"cmpl-0123456789abcdef0123456789abcdef","object":"text_completion",)"
    R"("created":1700000123,"model":"fake","system_fingerprint":)";

std::string chunk(const Fixture& fixture, const std::string& rest) {
  return std::string("data: {") + kHead + "\"" + fixture.model->fingerprint() + "\"," + rest +
         "}\n\n";
}

TEST(AnswerStream, HasOneEventPerTokenWhoseTextChanged) {
  const Fixture fixture;
  const std::string id = "id: 0123456789abcdef0123456789abcdef:";
  const auto choice = [](const std::string& text, const std::string& reason) {
    return R"("choices":[{"index":0,"text":")" + text + R"(","logprobs":null,"finish_reason":)" +
           reason + "}]";
  };
  EXPECT_EQ(fixture.stream({}), id + "1\n" + chunk(fixture, choice("h", "null")) + id + "3\n" +
                                    chunk(fixture, choice("\xC3\xA9", "null")) + id + "4\n" +
                                    chunk(fixture, choice("!", "null")) + id + "4e\n" +
                                    chunk(fixture, choice("", "\"length\"")) + "data: [DONE]\n\n");
}

TEST(AnswerStream, OpensAChatWithItsRole) {
  const Fixture fixture(/*chat=*/true);
  const std::string out = fixture.stream({});
  EXPECT_NE(out.find(R"("object":"chat.completion.chunk")"), out.npos);
  EXPECT_EQ(out.find(R"("delta":{"role":"assistant","content":""})"), out.find("\"delta\""));
  EXPECT_NE(out.find(R"("delta":{"content":"h"})"), out.npos);
  EXPECT_NE(out.find(R"("delta":{},"logprobs":null,"finish_reason":"length")"), out.npos);
}

TEST(AnswerStream, GoesOnBehindAnyEventWithTheSameBytes) {
  for (const bool chat : {false, true}) {
    Fixture fixture(chat);
    fixture.record.num_choices = 2;
    fixture.record.sampling.stop = {"\xC3\xA9!"};  // Held back to the end, then dropped.
    fixture.options.include_usage = true;
    fixture.options.receipt = true;
    const std::string whole = fixture.stream({});
    int resumed = 0;
    for (std::size_t at = whole.find("id: "); at != whole.npos; at = whole.find("\nid: ", at)) {
      at = whole.find("id: ", at) + 4;
      const std::size_t line = whole.find('\n', at);
      const auto id = EventId::parse(std::string_view(whole).substr(at, line - at));
      ASSERT_TRUE(id.ok()) << id.error().message;
      EXPECT_EQ(fixture.stream(id.value()), whole.substr(whole.find("\n\n", at) + 2));
      ++resumed;
    }
    EXPECT_EQ(resumed, 4);  // Of each choice the "h" and the end.
  }
}

TEST(AnswerStream, NamesWhatTheClientHasOfEveryChoiceWhicheverGoesOnFirst) {
  Fixture fixture;
  fixture.record.num_choices = 3;
  AnswerStream answer(fixture.form(),
                      EventId{fixture.record.id, {{1, false}, {3, false}, {4, true}}});
  const std::string out = answer.take(0, {fixture.tokens, {}});
  EXPECT_EQ(out.find("id: 0123456789abcdef0123456789abcdef:3,3,4e\n"), 0U);
}

TEST(AnswerStream, DoesNotDependOnHowTokensCome) {
  Fixture fixture;
  fixture.options.num_top_logprobs = 1;
  AnswerStream answer(fixture.form(), {});
  std::string out = answer.take(0, {fixture.tokens, Fixture::end()});
  EXPECT_EQ(out + answer.finish({}), fixture.stream({}));
}

TEST(AnswerStream, TellsUsageOfTheTokensThatWereSent) {
  Fixture fixture;
  fixture.options.include_usage = true;
  const std::string out = fixture.stream({});
  EXPECT_NE(out.find(R"("choices":[],"usage":{"prompt_tokens":2,"completion_tokens":4,)"
                     R"("total_tokens":6}})"),
            out.npos);
  EXPECT_NE(out.find(R"("finish_reason":null}],"usage":null})"), out.npos);
}

TEST(AnswerStream, EndsWithTheErrorThatEndedTheJob) {
  const Fixture fixture;
  AnswerStream answer(fixture.form(), {});
  JobOutcome outcome;
  outcome.state = JobState::kFailed;
  outcome.error = "no replica could compute it";
  EXPECT_EQ(answer.finish(outcome),
            "data: {\"error\":{\"message\":\"no replica could compute it\",\"type\":"
            "\"server_error\",\"param\":null,\"code\":null}}\n\ndata: [DONE]\n\n");
}

TEST(AnswerBody, HoldsTheTextOfTheStream) {
  Fixture fixture;
  fixture.options.echo = true;
  const std::vector<ChoiceRecord> choices = {{fixture.tokens, Fixture::end(FinishReason::kStop)}};
  const OrderedJson body = answer_body(fixture.form(), choices);
  EXPECT_EQ(body["choices"][0]["text"], "abh\xC3\xA9!");
  EXPECT_EQ(body["choices"][0]["finish_reason"], "stop");
  EXPECT_EQ(body["usage"].dump(), R"({"prompt_tokens":2,"completion_tokens":4,"total_tokens":6})");
  EXPECT_FALSE(body.contains("lockstep"));
}

TEST(AnswerBody, WritesLogProbabilitiesOfACompletion) {
  Fixture fixture;
  fixture.options.num_top_logprobs = 1;
  for (CompletionToken& token : fixture.tokens) {
    token.logprob = -0.5F;
    token.top = {{kByte + 'z', -0.25F}};
  }
  const std::vector<ChoiceRecord> choices = {{fixture.tokens, Fixture::end()}};
  const OrderedJson logprobs = answer_body(fixture.form(), choices)["choices"][0]["logprobs"];
  EXPECT_EQ(logprobs["text_offset"].dump(), "[0,1,1,2]");
  EXPECT_EQ(logprobs["token_logprobs"].dump(), "[-0.5,-0.5,-0.5,-0.5]");
  EXPECT_EQ(logprobs["tokens"].dump(), R"(["h","bytes:\\xc3","bytes:\\xa9","!"])");
  EXPECT_EQ(logprobs["top_logprobs"][0].dump(), R"({"z":-0.25,"h":-0.5})");
}

TEST(AnswerBody, WritesLogProbabilitiesOfAChat) {
  Fixture fixture(/*chat=*/true);
  fixture.options.num_top_logprobs = 1;
  fixture.tokens[0].logprob = -0.5F;
  fixture.tokens[0].top = {{kByte + 'z', -0.25F}};
  fixture.tokens.resize(1);
  const std::vector<ChoiceRecord> choices = {{fixture.tokens, Fixture::end()}};
  EXPECT_EQ(answer_body(fixture.form(), choices)["choices"][0].dump(),
            R"({"index":0,"message":{"role":"assistant","content":"h","refusal":null},)"
            R"("logprobs":{"content":[{"token":"h","logprob":-0.5,"bytes":[104],"top_logprobs":)"
            R"([{"token":"z","logprob":-0.25,"bytes":[122]}]}],"refusal":null},)"
            R"("finish_reason":"length"})");
}

TEST(AnswerBody, HoldsReceiptsOfEveryChoice) {
  Fixture fixture;
  fixture.options.receipt = true;
  fixture.record.num_choices = 2;
  const std::vector<ChoiceRecord> choices(2, ChoiceRecord{fixture.tokens, Fixture::end()});
  const OrderedJson body = answer_body(fixture.form(), choices);
  const OrderedJson& receipts = body["lockstep"]["receipts"];
  EXPECT_EQ(body["lockstep"]["request_id"], "0123456789abcdef0123456789abcdef");
  ASSERT_EQ(receipts.size(), 2U);
  EXPECT_EQ(receipts[0]["output_hash"], receipts[1]["output_hash"]);
  EXPECT_NE(receipts[0]["result_hash"], receipts[1]["result_hash"]);  // Another choice index.
}

TEST(EventIdParse, ReadsWhatTextWrites) {
  EventId id{RequestId::parse("0123456789abcdef0123456789abcdef").value(), {{0, false}, {7, true}}};
  EXPECT_EQ(id.text(), "0123456789abcdef0123456789abcdef:0,7e");
  EXPECT_EQ(EventId::parse(id.text()).value().choices, id.choices);
}

TEST(EventIdParse, RefusesAnythingElse) {
  const std::string request = "0123456789abcdef0123456789abcdef";
  for (const std::string& text :
       {std::string(), request, request + ":", request + ":-1", request + ":1,", request + ":1ee",
        request + ":4294967296", request + " 1", "x" + request.substr(1) + ":1"}) {
    EXPECT_FALSE(EventId::parse(text).ok()) << text;
  }
}

}  // namespace
}  // namespace lockstep
