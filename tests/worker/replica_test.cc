// Leader, ranks and runner together, on random models that are small enough for a unit test.
#include <gtest/gtest.h>

#include <algorithm>
#include <thread>

#include "tests/worker/replica_support.h"

namespace lockstep {
namespace {

std::string refusal(const Store& store, const ReplicaConfig& config, int ranks, ErrorCode code) {
  const auto replica = LocalReplica::start(store, config, ranks);
  if (replica.ok()) return "started";
  EXPECT_EQ(replica.error().code, code);
  return replica.error().message;
}

bool contains(const std::string& text, const std::string& part) {
  return text.find(part) != std::string::npos;
}

TEST(LocalReplica, GivesOneAnswerForEveryNumberOfRanks) {
  const std::vector<Request> requests = {request_of(21, 8), request_of(40, 6, 0.9F),
                                         request_of(1, 9, 2.0F)};
  for (const int bits : {16, 8}) {
    const Store store = bits == 16 ? plain_store() : imported(tiny_llama(shape()), bits);
    std::vector<ReplicaAnswer> wanted;  // Each alone, on one rank.
    for (const Request& request : requests) {
      wanted.push_back(answers(*start(store, 1), {request})[0]);
      EXPECT_EQ(wanted.back().completion.token_ids.size(), request.sampling.max_completion_tokens);
    }
    for (int ranks = 1; ranks <= kParts; ++ranks) {
      ReplicaConfig config;
      config.chunk_tokens = 3 + 5 * ranks;
      config.threads = 1 + ranks % 2;
      const auto replica = start(store, ranks, config);
      const std::vector<ReplicaAnswer> got = answers(*replica, requests);
      for (std::size_t i = 0; i < requests.size(); ++i) {
        expect_equal(got[i], wanted[i],
                     std::to_string(bits) + " bits, " + std::to_string(ranks) + " ranks, request " +
                         std::to_string(i));
      }
    }
  }
}

TEST(LocalReplica, TakesUnevenWeights) {
  ReplicaConfig config;
  config.weights = {3, 1};
  const auto replica = start(plain_store(), 2, config);
  const auto reports = replica->leader().lead_report();
  ASSERT_TRUE(reports.ok());
  ASSERT_EQ(reports.value().size(), 2U);
  EXPECT_EQ(reports.value()[0].parts, (Range{0, 3}));
  EXPECT_EQ(reports.value()[1].parts, (Range{3, 4}));
  EXPECT_GT(reports.value()[0].weight_bytes, reports.value()[1].weight_bytes);
  expect_equal(answers(*replica, {request_of(21, 8)})[0],
               answers(*start(plain_store(), 1), {request_of(21, 8)})[0], "3 to 1");
}

TEST(LocalReplica, RefusesMoreRanksThanParts) {
  const std::string message = refusal(plain_store(), {}, kParts + 1, ErrorCode::kInvalidArgument);
  EXPECT_TRUE(contains(message, "this store has 4 parts")) << message;
  EXPECT_TRUE(contains(message, "rank 0: ")) << message;
}

TEST(LocalReplica, RefusesAContextThatTheModelHasNot) {
  ReplicaConfig config;
  config.context_tokens = 129;
  const std::string message = refusal(plain_store(), config, 2, ErrorCode::kInvalidArgument);
  EXPECT_TRUE(contains(message, "--ctx-size: the model's context is 128 tokens, got 129"))
      << message;
}

TEST(LocalReplica, RefusesAKvCacheThatDoesNotFitBeforeItIsAllocated) {
  ReplicaConfig config;
  config.num_blocks = INT32_MAX;
  const std::string message = refusal(plain_store(), config, 2, ErrorCode::kExhausted);
  EXPECT_TRUE(contains(message, "the KV cache of 2147483647 blocks needs ")) << message;
}

TEST(LocalReplica, RefusesAnUnknownDevice) {
  ReplicaConfig config;
  config.device = "abacus";
  const std::string message = refusal(plain_store(), config, 2, ErrorCode::kInvalidArgument);
  EXPECT_TRUE(contains(message, "abacus")) << message;
}

TEST(LocalReplica, EndsWhenAPlanDoesNotFit) {
  const auto replica = start(plain_store(), 3);
  StepPlan plan;
  ScheduledSequence entry;
  entry.tokens = {1};
  entry.new_blocks = {BlockId{64}};
  plan.prefills.push_back(entry);
  const auto output = replica->leader().lead_step(plan);
  ASSERT_FALSE(output.ok());
  EXPECT_TRUE(contains(output.error().message, "no KV block 64")) << output.error().message;
}  // The followers have given up too: their threads are joined here.

TEST(RankStart, RefusesOptionsThatDiffer) {
  const std::vector<std::unique_ptr<Communicator>> group = make_local_group(3);
  std::vector<std::string> messages(3);
  std::vector<std::thread> threads;
  for (std::size_t r = 0; r < 3; ++r) {
    threads.emplace_back([&, r] {
      ReplicaConfig config;
      config.num_blocks = r == 1 ? 9 : 8;
      const auto rank = Rank::start(plain_store(), config, *group[r]);
      messages[r] = rank.ok() ? "started" : rank.error().message;
    });
  }
  for (std::thread& thread : threads) thread.join();
  for (const std::string& message : messages) {
    EXPECT_TRUE(contains(message, "rank 1: its model or its options differ")) << message;
  }
}

TEST(LeaderAdd, RefusesWhatCannotBeAnswered) {
  ReplicaConfig config;
  config.context_tokens = 32;
  const auto replica = start(plain_store(), 1, config);
  Leader leader(replica->leader(), nullptr);
  const auto refused = [&](Request request) -> std::string {
    const auto id = leader.add(std::move(request));
    if (id.ok()) return "accepted";
    EXPECT_EQ(id.error().code, ErrorCode::kInvalidArgument);
    return id.error().message;
  };
  EXPECT_TRUE(contains(refused(request_of(0, 4)), "no tokens"));
  EXPECT_TRUE(contains(refused(request_of(32, 4)), "the prompt has 32 tokens, the context of 32"));
  EXPECT_EQ(refused(request_of(31, 4)), "accepted");
  Request request = request_of(20, 4);
  request.sampling.context_limit = 20;
  EXPECT_TRUE(contains(refused(request), "context limit of 20"));
  request = request_of(3, 4);
  request.prompt[1] = kVocab;
  EXPECT_TRUE(contains(refused(request), "prompt token 40"));
  request = request_of(3, 4);
  request.sampling.top_p = 0;
  EXPECT_TRUE(contains(refused(request), "top-p: expected"));
  request = request_of(3, 4);
  request.sampling.stop = {"x"};
  EXPECT_TRUE(contains(refused(request), "tokenizer"));
}

TEST(LeaderStep, EndsAtTheContextLimit) {
  ReplicaConfig config;
  config.context_tokens = 24;
  const auto replica = start(plain_store(), 1, config);
  Request limited = request_of(20, 100);
  limited.sampling.context_limit = 22;
  const std::vector<ReplicaAnswer> got = answers(*replica, {request_of(20, 100), limited});
  EXPECT_EQ(got[0].completion.token_ids.size(), 4U);
  EXPECT_EQ(got[0].completion.finish_reason, FinishReason::kLength);
  EXPECT_EQ(got[1].completion.token_ids.size(), 2U);
}

TEST(LeaderStep, GivesTheSameAnswerFromTheCache) {
  const auto replica = start(plain_store(), 2);
  Leader leader(replica->leader(), nullptr);
  const ReplicaAnswer first = answers(leader, {request_of(37, 6)})[0];
  const ReplicaAnswer second = answers(leader, {request_of(37, 6)})[0];
  EXPECT_EQ(first.completion.cached_tokens, 0U);
  EXPECT_EQ(first.completion.computed_tokens, 37U + 5);
  EXPECT_EQ(second.completion.cached_tokens, 32U);
  EXPECT_EQ(second.completion.computed_tokens, 5U + 5);
  expect_equal(second, first, "from the cache");
}

TEST(LeaderStep, ScoresAPromptWithTheLogitsOfItsAnswer) {
  ReplicaConfig config;
  config.chunk_tokens = 7;
  const auto replica = start(plain_store(), 2, config);
  const ReplicaAnswer answer = answers(*replica, {request_of(11, 6)})[0];
  Request scored = request_of(11, 6);
  const auto& ids = answer.completion.token_ids;
  scored.prompt.insert(scored.prompt.end(), ids.begin(), ids.end() - 1);
  std::vector<Digest> digests;
  scored.score = [&](std::uint32_t position, std::span<const float> logits) {
    EXPECT_EQ(position, digests.size());
    EXPECT_EQ(logits.size(), kVocab);
    digests.push_back(logits_digest(logits));
  };
  const ReplicaAnswer got = answers(*replica, {scored})[0];
  EXPECT_TRUE(got.completion.token_ids.empty());
  ASSERT_EQ(digests.size(), 16U);
  for (std::size_t i = 0; i < 6; ++i) {
    EXPECT_EQ(digests[10 + i], answer.completion.trace[i].logits_digest) << i;
  }
}

TEST(LeaderStep, ScoresAPromptThatFillsTheCache) {
  ReplicaConfig config;
  config.context_tokens = 128;
  config.num_blocks = 2;
  const auto replica = start(plain_store(), 1, config);
  Request scored = request_of(32, 50);  // Nothing is sampled: no room is needed for it.
  std::size_t count = 0;
  scored.score = [&](std::uint32_t, std::span<const float>) { ++count; };
  EXPECT_TRUE(answers(*replica, {scored})[0].status.ok());
  EXPECT_EQ(count, 32U);
}

Request lettered_request() {
  Request request = request_of(9, 12, 1.5F);
  request.sampling.ignore_eos = true;
  return request;
}

TEST(LeaderCancel, KeepsTheTextSoFar) {
  const Tokenizer tokenizer = letters();
  const auto replica = start(plain_store(), 2);
  Leader leader(replica->leader(), &tokenizer);
  const Completion whole = answers(leader, {lettered_request()})[0].completion;
  const SequenceId id = leader.add(lettered_request()).value();
  for (int i = 0; i < 5; ++i) ASSERT_TRUE(leader.step().ok());
  leader.cancel(id);
  leader.cancel(id);
  EXPECT_TRUE(leader.idle());
  const Completion cut = leader.take(id);
  const std::span<const std::uint32_t> head = std::span(whole.token_ids).first(5);
  EXPECT_EQ(cut.token_ids, std::vector<std::uint32_t>(head.begin(), head.end()));
  EXPECT_EQ(cut.text, text_of(tokenizer, head));
  EXPECT_FALSE(cut.text.empty());
  EXPECT_EQ(cut.finish_reason, FinishReason::kLength);
  // The blocks are free again, and others are not disturbed.
  EXPECT_EQ(leader.scheduler().pool().num_referenced(), 0);
  EXPECT_EQ(answers(leader, {lettered_request()})[0].completion.token_ids, whole.token_ids);
}

TEST(LeaderCancel, EndsASequenceThatWaits) {
  const auto replica = start(plain_store(), 1);
  Leader leader(replica->leader(), nullptr);
  const SequenceId id = leader.add(request_of(3, 4)).value();
  leader.cancel(id);
  EXPECT_TRUE(leader.idle());
  EXPECT_TRUE(leader.take(id).token_ids.empty());
}

TEST(LeaderStep, StopsAtAStopString) {
  const Tokenizer tokenizer = letters();
  const auto replica = start(plain_store(), 1);
  Leader leader(replica->leader(), &tokenizer);
  const Completion whole = answers(leader, {lettered_request()})[0].completion;
  ASSERT_GE(whole.text.size(), 8U);
  EXPECT_EQ(whole.text, text_of(tokenizer, whole.token_ids));
  Request request = lettered_request();
  request.sampling.stop = {whole.text.substr(4, 3)};
  const std::size_t at = whole.text.find(request.sampling.stop[0]);
  const SequenceId id = leader.add(request).value();
  std::string streamed;
  while (!leader.idle()) {
    const auto events = leader.step();
    ASSERT_TRUE(events.ok());
    for (const SequenceEvent& event : events.value()) streamed += event.text;
  }
  const Completion stopped = leader.take(id);
  EXPECT_EQ(stopped.text, whole.text.substr(0, at));
  EXPECT_EQ(streamed, stopped.text);
  EXPECT_EQ(stopped.finish_reason, FinishReason::kStop);
  EXPECT_EQ(text_of(tokenizer, stopped.token_ids), whole.text.substr(0, at + 3));
}

TEST(LeaderStep, EndsAtTheEndTokenUnlessItIsIgnored) {
  const Tokenizer tokenizer = letters();
  const auto replica = start(plain_store(), 1);
  Leader leader(replica->leader(), &tokenizer);
  Request request = request_of(9, 5);
  request.sampling.logit_bias = {{1, 1e30F}};
  const Completion ended = answers(leader, {request})[0].completion;
  EXPECT_EQ(ended.token_ids, std::vector<std::uint32_t>{1});
  EXPECT_EQ(ended.finish_reason, FinishReason::kStop);
  EXPECT_EQ(ended.text, "");
  request.sampling.ignore_eos = true;
  const Completion full = answers(leader, {request})[0].completion;
  EXPECT_EQ(full.token_ids, std::vector<std::uint32_t>(5, 1));
  EXPECT_EQ(full.finish_reason, FinishReason::kLength);
}

TEST(LeaderStep, StopsAtAStopStringInTheLastBytes) {
  const Tokenizer tokenizer = letters("\u00C3");  // The byte C3, which begins a character.
  const auto replica = start(plain_store(), 1);
  Leader leader(replica->leader(), &tokenizer);
  Request request = request_of(9, 1);
  request.sampling.logit_bias = {{39, 1e30F}};
  EXPECT_EQ(answers(leader, {request})[0].completion.text, "\uFFFD");
  request.sampling.stop = {"\uFFFD"};
  const Completion stopped = answers(leader, {request})[0].completion;
  EXPECT_EQ(stopped.finish_reason, FinishReason::kStop);
  EXPECT_EQ(stopped.text, "");
}

TEST(LeaderStep, EndsASequenceThatOverflowsAndNoOther) {
  static const Store store = imported(overflowing_model());
  Request bad = request_of(20, 4);
  for (std::uint32_t& token : bad.prompt) token = token == kOverflowingToken ? 8 : token;
  Request good = bad;
  bad.prompt[3] = kOverflowingToken;
  const ReplicaAnswer wanted = answers(*start(store, 1), {good})[0];
  ASSERT_TRUE(wanted.status.ok());
  for (const int ranks : {1, 2, 4}) {
    const auto replica = start(store, ranks);
    Leader leader(replica->leader(), nullptr);
    const std::vector<ReplicaAnswer> got = answers(leader, {good, bad, good});
    expect_equal(got[0], wanted, "in front");
    expect_equal(got[2], wanted, "behind");
    // Again: the damaged keys and values are not in the cache, where nobody would see what is wrong
    // with them.
    const ReplicaAnswer again = answers(leader, {bad})[0];
    for (const ReplicaAnswer& answer : {got[1], again}) {
      ASSERT_FALSE(answer.status.ok()) << ranks << " ranks";
      EXPECT_EQ(answer.status.error().code, ErrorCode::kCorrupt);
      EXPECT_EQ(answer.status.error().message,
                "a value is NaN or infinite in layer 1, feed-forward input");
      EXPECT_TRUE(answer.completion.token_ids.empty());
      EXPECT_EQ(answer.completion.cached_tokens, 0U);
    }
    expect_equal(answers(leader, {good})[0], wanted, "afterwards");
  }
}

}  // namespace
}  // namespace lockstep
