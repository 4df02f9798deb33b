// The leader's promises when sequences are preempted, moved in mid-answer, or ask for more than
// tokens. What a single sequence does is in replica_test.cc.
#include "worker/leader.h"

#include <gtest/gtest.h>

#include <cmath>

#include "tests/worker/replica_support.h"

namespace lockstep {
namespace {

// Everything that depends on what was before: penalties, draws by position, stop strings, text.
Request sensitive_request(std::uint32_t prompt_tokens, std::uint32_t tokens) {
  Request request = request_of(prompt_tokens, tokens, 8.0F);
  request.sampling.ignore_eos = true;
  request.sampling.repetition_penalty = 1.2F;
  request.sampling.frequency_penalty = 0.3F;
  request.sampling.presence_penalty = 0.2F;
  request.sampling.stop = {"no such text"};
  request.num_top_logprobs = 2;
  return request;
}

struct Streamed {
  ReplicaAnswer answer;
  std::vector<CompletionToken> tokens;  // Of this replica, as events.
  std::string text;
  int events = 0;
};

Streamed stream(Leader& leader, const Request& request) {
  Streamed out;
  const SequenceId id = leader.add(request).value();
  while (!leader.idle()) {
    const auto events = leader.step();
    CHECK(events.ok(), events.ok() ? "" : events.error().message.c_str());
    for (const SequenceEvent& event : events.value()) {
      ++out.events;
      out.text += event.text;
      if (!event.token) continue;
      out.tokens.push_back(
          {*event.token, event.logits_digest, event.logprobs.chosen, event.logprobs.top});
    }
  }
  out.answer.completion = leader.take(id);
  return out;
}

TEST(LeaderPreemption, ChangesNoTokenAndNoDigest) {
  std::vector<Request> requests;
  for (std::uint32_t i = 0; i < 8; ++i) {
    requests.push_back(sensitive_request(5 + 7 * i, 40));
    requests.back().sampling.seed = i;
    requests.back().sampling.stop.clear();
    requests.back().tenant = i % 2 == 0 ? "a" : "b";
    requests.back().priority = static_cast<PriorityClass>(i % 3);
  }
  std::vector<ReplicaAnswer> wanted;  // Each alone.
  for (const Request& request : requests) {
    wanted.push_back(answers(*start(plain_store(), 1), {request})[0]);
  }
  for (const bool reuse : {true, false}) {
    ReplicaConfig config;
    config.num_blocks = 12;
    config.chunk_tokens = 20;
    config.reuse_prefixes = reuse;
    const auto replica = start(plain_store(), 2, config);
    Leader leader(replica->leader(), nullptr);
    const std::vector<ReplicaAnswer> got = answers(leader, requests);
    for (std::size_t i = 0; i < requests.size(); ++i) {
      expect_equal(got[i], wanted[i], "request " + std::to_string(i));
      EXPECT_EQ(got[i].completion.token_ids.size(), 40U);
    }
    EXPECT_GE(leader.scheduler().counts().preemptions, 4U);
    EXPECT_EQ(leader.scheduler().counts().completion_tokens, 8U * 40);  // None sampled twice.
    EXPECT_EQ(leader.scheduler().pool().num_referenced(), 0);
  }
}

TEST(LeaderResume, GivesTheSameRestFromEveryPosition) {
  const Tokenizer tokenizer = letters("\u00C3");  // Half a character: text that waits.
  const auto replica = start(plain_store(), 2);
  const Request request = sensitive_request(19, 24);
  Leader first(replica->leader(), &tokenizer);
  const Streamed whole = stream(first, request);
  ASSERT_EQ(whole.tokens.size(), 24U);
  for (std::size_t k = 1; k <= whole.tokens.size(); ++k) {
    Leader leader(replica->leader(), &tokenizer);
    Request moved = request;
    moved.delivered.assign(whole.tokens.begin(),
                           whole.tokens.begin() + static_cast<std::ptrdiff_t>(k));
    const Streamed rest = stream(leader, moved);
    expect_equal(rest.answer, whole.answer, "from " + std::to_string(k));
    EXPECT_EQ(rest.answer.completion.text, whole.answer.completion.text);
    EXPECT_EQ(rest.answer.completion.finish_reason, whole.answer.completion.finish_reason);
    EXPECT_EQ(rest.tokens,
              std::vector<CompletionToken>(whole.tokens.begin() + static_cast<std::ptrdiff_t>(k),
                                           whole.tokens.end()));
    EXPECT_EQ(rest.answer.completion.prompt_tokens, 19U);
  }
}

TEST(LeaderResume, FindsAStopStringThatBeganBefore) {
  const Tokenizer tokenizer = letters();
  const auto replica = start(plain_store(), 1);
  Request request = sensitive_request(9, 12);
  request.sampling.stop.clear();
  Leader first(replica->leader(), &tokenizer);
  const std::string text = stream(first, request).answer.completion.text;
  request.sampling.stop = {text.substr(3, 4)};
  Leader second(replica->leader(), &tokenizer);
  const Streamed whole = stream(second, request);
  ASSERT_EQ(whole.answer.completion.finish_reason, FinishReason::kStop);
  for (std::size_t k = 1; k <= whole.tokens.size(); ++k) {
    Leader leader(replica->leader(), &tokenizer);
    Request moved = request;
    moved.delivered.assign(whole.tokens.begin(),
                           whole.tokens.begin() + static_cast<std::ptrdiff_t>(k));
    const Streamed rest = stream(leader, moved);
    expect_equal(rest.answer, whole.answer, "from " + std::to_string(k));
    EXPECT_EQ(rest.answer.completion.text, whole.answer.completion.text);
    EXPECT_EQ(rest.answer.completion.finish_reason, FinishReason::kStop);
    EXPECT_EQ(rest.tokens.size(), whole.tokens.size() - k);
  }
}

TEST(LeaderResume, SaysHowAnAnswerEndedThatWasDeliveredWhole) {
  const auto replica = start(plain_store(), 1);
  Leader leader(replica->leader(), nullptr);
  const Request request = request_of(9, 5);
  Request moved = request;
  moved.delivered = stream(leader, request).tokens;
  const SequenceId id = leader.add(moved).value();
  EXPECT_FALSE(leader.idle());
  const auto events = leader.step();
  ASSERT_TRUE(events.ok());
  ASSERT_EQ(events.value().size(), 1U);
  EXPECT_TRUE(events.value()[0].finished);
  EXPECT_FALSE(events.value()[0].token.has_value());
  EXPECT_TRUE(leader.idle());
  EXPECT_EQ(leader.take(id).finish_reason, FinishReason::kLength);
  EXPECT_EQ(leader.scheduler().counts().prefill_tokens, 9U);  // Of the first: nothing again.
}

TEST(LeaderResume, RefusesWhatCannotHaveBeenDelivered) {
  const auto replica = start(plain_store(), 1);
  Leader leader(replica->leader(), nullptr);
  Request request = request_of(9, 2);
  request.delivered = {{1, {}, 0, {}}, {2, {}, 0, {}}, {3, {}, 0, {}}};
  EXPECT_EQ(leader.add(request).error().message,
            "refused: tokens were delivered behind the answer's end");
  request.delivered = {{kVocab, {}, 0, {}}};
  EXPECT_EQ(leader.add(request).error().message,
            "refused: delivered token 40 is not in the vocabulary of 40");
  request = request_of(9, 2);
  request.num_top_logprobs = 21;
  EXPECT_EQ(leader.add(request).error().code, ErrorCode::kInvalidArgument);
  EXPECT_TRUE(leader.idle());
}

TEST(LeaderLogprobs, AreThoseOfTheRawLogits) {
  const auto replica = start(plain_store(), 1);
  Request request = sensitive_request(9, 6);
  request.sampling.stop.clear();
  std::vector<std::vector<float>> logits;
  request.observe = [&](std::span<const float> raw) {
    logits.emplace_back(raw.begin(), raw.end());
  };
  Leader leader(replica->leader(), nullptr);
  const Streamed with = stream(leader, request);
  ASSERT_EQ(with.tokens.size(), 6U);
  for (std::size_t i = 0; i < 6; ++i) {
    const TokenLogprobs wanted = token_logprobs(logits[i], with.tokens[i].token, 2);
    EXPECT_EQ(with.tokens[i].logprob, wanted.chosen);
    EXPECT_EQ(with.tokens[i].top, wanted.top);
  }
  request.num_top_logprobs = -1;
  const Streamed without = stream(leader, request);
  expect_equal(without.answer, with.answer, "without log probabilities");
  EXPECT_EQ(without.tokens[0].logprob, 0.0F);
}

TEST(LeaderPrefixCache, IsSharedWithinATenantAlone) {
  const auto replica = start(plain_store(), 1);
  Leader leader(replica->leader(), nullptr);
  Request request = request_of(40, 2);
  request.tenant = "a";
  (void)answers(leader, {request});
  EXPECT_EQ(answers(leader, {request})[0].completion.cached_tokens, 32U);
  request.tenant = "b";
  EXPECT_EQ(answers(leader, {request})[0].completion.cached_tokens, 0U);
}

TEST(LeaderBeginGeneration, DropsWhatRuns) {
  const auto replica = start(plain_store(), 2);
  Leader leader(replica->leader(), nullptr);
  const ReplicaAnswer wanted = answers(leader, {request_of(20, 6)})[0];
  ASSERT_TRUE(leader.add(request_of(30, 9)).ok());
  ASSERT_TRUE(leader.step().ok());
  leader.begin_generation(GenerationId{5});
  EXPECT_TRUE(leader.idle());
  EXPECT_EQ(leader.scheduler().pool().num_referenced(), 0);
  expect_equal(answers(leader, {request_of(20, 6)})[0], wanted, "in the next generation");
}

// `n` answers to one request are n requests.
TEST(LeaderChoices, DifferByTheirIndexAlone) {
  const auto replica = start(plain_store(), 1);
  std::vector<Request> choices(3, request_of(20, 12, 30.0F));
  for (std::uint32_t i = 0; i < 3; ++i) choices[i].sampling.choice_index = i;
  const std::vector<ReplicaAnswer> together = answers(*replica, choices);
  for (std::size_t i = 0; i < 3; ++i) {
    expect_equal(together[i], answers(*replica, {choices[i]})[0], "choice " + std::to_string(i));
  }
  EXPECT_NE(together[0].completion.token_ids, together[1].completion.token_ids);
}

}  // namespace
}  // namespace lockstep
