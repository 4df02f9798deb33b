#include "scheduler/dispatcher.h"

#include <algorithm>
#include <optional>

#include <gtest/gtest.h>

namespace lockstep {
namespace {

constexpr ReplicaId kA{1};
constexpr ReplicaId kB{2};

RequestId id_of(std::uint8_t n) {
  RequestId id;
  id.bytes[15] = n;
  return id;
}

Digest model() {
  Digest digest;
  digest.bytes[0] = 7;
  return digest;
}

JobRecord job(std::uint8_t n, PriorityClass priority = PriorityClass::kNormal) {
  JobRecord record;
  record.id = id_of(n);
  record.tenant = "t";
  record.priority = priority;
  record.prompt = {1, 2, 3};
  record.sampling.max_completion_tokens = 1000;
  record.model_id = model();
  record.numerics_version = 1;
  return record;
}

std::vector<CompletionToken> tokens(std::uint32_t first, std::uint32_t count) {
  std::vector<CompletionToken> made(count);
  for (std::uint32_t i = 0; i < count; ++i) made[i].token = 100 + first + i;
  return made;
}

// A dispatcher with a clock, a store that answers when it is told to, and what came out.
class DispatcherTest : public testing::Test {
 protected:
  DispatcherTest() : dispatcher_(config()) {}

  static DispatcherConfig config() {
    DispatcherConfig config;
    config.model_id = model();
    config.numerics_version = 1;
    config.max_attempts = 3;
    return config;
  }

  void collect() {
    for (Effect& effect : dispatcher_.take_effects()) {
      if (auto* store = std::get_if<StoreEffect>(&effect)) {
        unstored_.push_back(store->ticket);
        for (StoreWrite& write : store->writes) writes_.push_back(std::move(write));
      } else {
        effects_.push_back(std::move(effect));
      }
    }
  }

  // Lets the store answer all that it was asked.
  void store(const Status& status = {}) {
    collect();
    while (!unstored_.empty()) {
      const std::uint64_t ticket = unstored_.front();
      unstored_.erase(unstored_.begin());
      dispatcher_.stored(now_, ticket, status);
      if (!status.ok()) break;
      collect();
    }
    collect();
  }

  void accept(JobRecord record) {
    dispatcher_.submit(now_, std::move(record));
    store();
  }

  // The epoch that the replica was given.
  std::uint64_t hello(ReplicaId replica, std::uint32_t credits = 4) {
    HelloMessage message;
    message.model_id = model();
    message.numerics_version = 1;
    message.max_sequences = credits;
    dispatcher_.message(now_, replica, {.body = message});
    collect();
    sequence_[replica] = 0;
    return last_sent<WelcomeMessage>(replica)->epoch;
  }

  void say(ReplicaId replica, std::uint64_t epoch, decltype(ToGateway::body) body) {
    dispatcher_.message(
        now_, replica, {.epoch = epoch, .sequence = ++sequence_[replica], .body = std::move(body)});
    collect();
  }

  void progress(ReplicaId replica, std::uint64_t epoch, ChoiceProgress choice) {
    ProgressMessage message;
    message.choices.push_back(std::move(choice));
    say(replica, epoch, std::move(message));
  }

  void advance(std::int64_t ms) {
    for (std::int64_t gone = 0; gone < ms; gone += 50) {
      now_.mono_ms += 50;
      now_.unix_ms += 50;
      dispatcher_.tick(now_);
    }
    collect();
  }

  // The last message of this kind to the replica.
  template <typename Message>
  std::optional<Message> last_sent(ReplicaId replica) const {
    for (auto it = effects_.rbegin(); it != effects_.rend(); ++it) {
      const auto* send = std::get_if<SendEffect>(&*it);
      if (send == nullptr || send->replica != replica) continue;
      if (const auto* body = std::get_if<Message>(&send->message.body)) return *body;
    }
    return std::nullopt;
  }

  template <typename Kind>
  std::vector<Kind> all() const {
    std::vector<Kind> found;
    for (const Effect& effect : effects_) {
      if (const auto* one = std::get_if<Kind>(&effect)) found.push_back(*one);
    }
    return found;
  }

  template <typename Kind>
  std::vector<Kind> all_writes() const {
    std::vector<Kind> found;
    for (const StoreWrite& write : writes_) {
      if (const auto* one = std::get_if<Kind>(&write)) found.push_back(*one);
    }
    return found;
  }

  static ChoiceProgress piece(std::uint8_t n, std::uint32_t attempt, std::uint32_t first,
                              std::uint32_t count, bool last = false) {
    ChoiceProgress choice{.key = {id_of(n), 0},
                          .attempt = attempt,
                          .first = first,
                          .tokens = tokens(first, count),
                          .end = std::nullopt};
    if (last) {
      choice.end = ChoiceEnd{};
      choice.end->num_tokens = first + count;
    }
    return choice;
  }

  Now now_{.mono_ms = 1000, .unix_ms = 1'000'000};
  Dispatcher dispatcher_;
  std::vector<Effect> effects_;
  std::vector<StoreWrite> writes_;
  std::vector<std::uint64_t> unstored_;
  std::map<ReplicaId, std::uint64_t> sequence_;
};

TEST_F(DispatcherTest, AcceptsAndAssignsOnlyWhenTheRowIsOnDisk) {
  hello(kA);
  dispatcher_.submit(now_, job(1));
  collect();
  EXPECT_TRUE(all<AcceptEffect>().empty());
  EXPECT_FALSE(last_sent<AssignMessage>(kA));
  store();
  ASSERT_EQ(all<AcceptEffect>().size(), 1U);
  EXPECT_TRUE(all<AcceptEffect>()[0].status.ok());
  EXPECT_EQ(last_sent<AssignMessage>(kA)->attempt, 1U);
}

TEST_F(DispatcherTest, RefusesAJobWhoseRowIsNotStored) {
  dispatcher_.submit(now_, job(1));
  store(Error{ErrorCode::kExhausted, "full"});
  ASSERT_EQ(all<AcceptEffect>().size(), 1U);
  EXPECT_EQ(all<AcceptEffect>()[0].status.error().code, ErrorCode::kExhausted);
  EXPECT_EQ(dispatcher_.num_jobs(), 0U);
}

TEST_F(DispatcherTest, EndsAJobOnlyWhenItsTerminalRowIsOnDisk) {
  const std::uint64_t epoch = hello(kA);
  accept(job(1));
  progress(kA, epoch, piece(1, 1, 0, 3, true));
  EXPECT_EQ(all<ChoiceEndEffect>().size(), 1U);
  EXPECT_TRUE(all<EndEffect>().empty());
  store();
  ASSERT_EQ(all<EndEffect>().size(), 1U);
  EXPECT_EQ(all<EndEffect>()[0].outcome.state, JobState::kDone);
  ASSERT_EQ(all_writes<AppendTokens>().size(), 1U);
  EXPECT_EQ(all_writes<AppendTokens>()[0].tokens, tokens(0, 3));
  EXPECT_EQ(dispatcher_.num_jobs(), 0U);
}

TEST_F(DispatcherTest, HandsOutEveryTokenOnce) {
  const std::uint64_t epoch = hello(kA);
  accept(job(1));
  progress(kA, epoch, piece(1, 1, 0, 3));
  progress(kA, epoch, piece(1, 1, 1, 4));
  std::vector<CompletionToken> seen;
  for (const TokensEffect& effect : all<TokensEffect>()) {
    EXPECT_EQ(effect.first, seen.size());
    seen.insert(seen.end(), effect.tokens.begin(), effect.tokens.end());
  }
  EXPECT_EQ(seen, tokens(0, 5));
}

TEST_F(DispatcherTest, FencesAReplicaThatGivesAnotherAnswerThanBefore) {
  const std::uint64_t epoch = hello(kA);
  accept(job(1));
  progress(kA, epoch, piece(1, 1, 0, 3));
  ChoiceProgress other = piece(1, 1, 1, 2);
  other.tokens[0].token = 9;
  progress(kA, epoch, other);
  EXPECT_EQ(all<FenceEffect>().size(), 1U);
}

TEST_F(DispatcherTest, FencesAReplicaThatLeavesTokensOutOrEndsEarly) {
  const std::uint64_t epoch = hello(kA);
  accept(job(1));
  progress(kA, epoch, piece(1, 1, 2, 1));
  EXPECT_EQ(all<FenceEffect>().size(), 1U);
  const std::uint64_t next = hello(kA);
  ChoiceProgress early = piece(1, 2, 0, 2, true);
  early.end->num_tokens = 3;
  progress(kA, next, early);
  EXPECT_EQ(all<FenceEffect>().size(), 2U);
}

TEST_F(DispatcherTest, MovesAChoiceWithItsTokensWhenItsReplicaDies) {
  const std::uint64_t epoch = hello(kA);
  accept(job(1));
  progress(kA, epoch, piece(1, 1, 0, 2));
  hello(kB);
  dispatcher_.replica_lost(now_, kA, "rank 1 died");
  collect();
  const auto assigned = last_sent<AssignMessage>(kB);
  ASSERT_TRUE(assigned);
  EXPECT_EQ(assigned->attempt, 2U);
  EXPECT_EQ(assigned->delivered, tokens(0, 2));
  EXPECT_EQ(dispatcher_.counts().moved, 1U);
  EXPECT_EQ(all<FenceEffect>()[0].epoch, epoch);
}

TEST_F(DispatcherTest, DropsWhatAnEarlierGenerationOrAttemptSays) {
  const std::uint64_t old = hello(kA);
  accept(job(1));
  dispatcher_.replica_lost(now_, kA, "died");
  const std::uint64_t epoch = hello(kA);
  EXPECT_GT(epoch, old);
  progress(kA, old, piece(1, 1, 0, 2));
  sequence_[kA] = 0;
  progress(kA, epoch, piece(1, 1, 0, 2));
  EXPECT_TRUE(all<TokensEffect>().empty());
  EXPECT_EQ(dispatcher_.counts().stale, 2U);
  progress(kA, epoch, piece(1, 2, 0, 2));
  EXPECT_EQ(all<TokensEffect>().size(), 1U);
}

TEST_F(DispatcherTest, BeginsANewGenerationWhenAMessageIsMissing) {
  const std::uint64_t epoch = hello(kA);
  accept(job(1));
  ++sequence_[kA];
  say(kA, epoch, BeatMessage{});
  EXPECT_GT(last_sent<WelcomeMessage>(kA)->epoch, epoch);
  EXPECT_EQ(last_sent<AssignMessage>(kA)->attempt, 2U);
  EXPECT_TRUE(all<FenceEffect>().empty());
}

TEST_F(DispatcherTest, DropsAMessageThatComesTwice) {
  const std::uint64_t epoch = hello(kA);
  accept(job(1));
  progress(kA, epoch, piece(1, 1, 0, 2));
  --sequence_[kA];
  progress(kA, epoch, piece(1, 1, 0, 2));
  EXPECT_EQ(dispatcher_.counts().stale, 1U);
  EXPECT_EQ(last_sent<WelcomeMessage>(kA)->epoch, epoch);
}

TEST_F(DispatcherTest, WelcomesAgainAReplicaThatDidNotHearIt) {
  const std::uint64_t epoch = hello(kA);
  advance(600);
  dispatcher_.message(now_, kA, {.epoch = epoch - 1, .sequence = 9, .body = BeatMessage{}});
  collect();
  EXPECT_GT(last_sent<WelcomeMessage>(kA)->epoch, epoch);
}

TEST_F(DispatcherTest, FencesWhoIsSilentAndWhoseStepHangs) {
  const std::uint64_t epoch = hello(kA);
  BeatMessage beat;
  for (int i = 0; i < 10; ++i) {
    advance(1000);
    say(kA, epoch, beat);
  }
  EXPECT_TRUE(all<FenceEffect>().empty());
  beat.step_age_ms = 4001;
  say(kA, epoch, beat);
  EXPECT_EQ(all<FenceEffect>().size(), 1U);
  hello(kB);
  advance(4100);
  ASSERT_EQ(all<FenceEffect>().size(), 2U);
  EXPECT_EQ(all<FenceEffect>()[1].replica, kB);
}

TEST_F(DispatcherTest, CondemnsNobodyForItsOwnPause) {
  hello(kA);
  advance(50);
  now_.mono_ms += 60'000;
  dispatcher_.tick(now_);
  collect();
  EXPECT_TRUE(all<FenceEffect>().empty());
}

TEST_F(DispatcherTest, RenewsTheLeaseWithEveryBeat) {
  hello(kA);
  advance(2000);
  std::uint64_t leases = 0;
  for (const SendEffect& send : all<SendEffect>()) {
    leases += std::holds_alternative<LeaseMessage>(send.message.body);
  }
  EXPECT_EQ(leases, 4U);
}

TEST_F(DispatcherTest, ChecksTokensInAfter64OrAQuarterOfASecond) {
  const std::uint64_t epoch = hello(kA);
  accept(job(1));
  progress(kA, epoch, piece(1, 1, 0, 64));
  dispatcher_.tick(now_);
  collect();
  ASSERT_EQ(all_writes<AppendTokens>().size(), 1U);
  progress(kA, epoch, piece(1, 1, 64, 1));
  advance(200);
  EXPECT_EQ(all_writes<AppendTokens>().size(), 1U);
  advance(100);
  ASSERT_EQ(all_writes<AppendTokens>().size(), 2U);
  EXPECT_EQ(all_writes<AppendTokens>()[1].first, 64U);
}

TEST_F(DispatcherTest, WritesTerminalRowsAgainWhenTheDiskWasFull) {
  const std::uint64_t epoch = hello(kA);
  accept(job(1));
  progress(kA, epoch, piece(1, 1, 0, 3, true));
  store(Error{ErrorCode::kExhausted, "full"});
  EXPECT_TRUE(all<EndEffect>().empty());
  writes_.clear();
  advance(1100);
  ASSERT_EQ(all_writes<AppendTokens>().size(), 1U);
  EXPECT_EQ(all_writes<AppendTokens>()[0].first, 0U);
  store();
  EXPECT_EQ(all<EndEffect>().size(), 1U);
}

TEST_F(DispatcherTest, StopsWhenTheDiskBreaksItsPromise) {
  dispatcher_.submit(now_, job(1));
  store(Error{ErrorCode::kIo, "fsync"});
  ASSERT_EQ(all<StopEffect>().size(), 1U);
  EXPECT_FALSE(all<StopEffect>()[0].status.ok());
}

TEST_F(DispatcherTest, CancelsAtTheReplicaAndFreesItsCredit) {
  const std::uint64_t epoch = hello(kA, 1);
  accept(job(1));
  accept(job(2));
  dispatcher_.cancel(now_, id_of(1));
  store();
  EXPECT_EQ(last_sent<CancelMessage>(kA)->key.request, id_of(1));
  EXPECT_EQ(last_sent<AssignMessage>(kA)->key.request, id_of(2));
  EXPECT_EQ(all<EndEffect>()[0].outcome.state, JobState::kCancelled);
  progress(kA, epoch, piece(1, 1, 0, 1));
  EXPECT_TRUE(all<TokensEffect>().empty());
}

TEST_F(DispatcherTest, CancelsAJobWhoseRowIsOnItsWay) {
  hello(kA);
  dispatcher_.submit(now_, job(1));
  dispatcher_.cancel(now_, id_of(1));
  store();
  EXPECT_FALSE(last_sent<AssignMessage>(kA));
  ASSERT_EQ(all<EndEffect>().size(), 1U);
  EXPECT_EQ(all<EndEffect>()[0].outcome.state, JobState::kCancelled);
}

TEST_F(DispatcherTest, GivesAClientThatLeftHalfAMinute) {
  accept(job(1));
  JobRecord kept = job(2);
  kept.keep_without_client = true;
  accept(kept);
  for (const std::uint8_t n : {std::uint8_t{1}, std::uint8_t{2}}) {
    dispatcher_.watch(now_, id_of(n), 1);
    dispatcher_.watch(now_, id_of(n), -1);
  }
  advance(20'000);
  dispatcher_.watch(now_, id_of(1), 1);
  advance(20'000);
  EXPECT_EQ(dispatcher_.num_jobs(), 2U);
  dispatcher_.watch(now_, id_of(1), -1);
  advance(30'100);
  store();
  ASSERT_EQ(all<EndEffect>().size(), 1U);
  EXPECT_EQ(all<EndEffect>()[0].id, id_of(1));
}

TEST_F(DispatcherTest, ExpiresAJobAtItsDeadline) {
  JobRecord record = job(1);
  record.expires_ms = now_.unix_ms + 1000;
  accept(record);
  advance(900);
  store();
  EXPECT_TRUE(all<EndEffect>().empty());
  advance(200);
  store();
  ASSERT_EQ(all<EndEffect>().size(), 1U);
  EXPECT_EQ(all<EndEffect>()[0].outcome.state, JobState::kExpired);
}

TEST_F(DispatcherTest, TakesBackALowerClassForAHigherOne) {
  const std::uint64_t epoch = hello(kA, 2);
  accept(job(1, PriorityClass::kBatch));
  accept(job(2, PriorityClass::kBatch));
  progress(kA, epoch, piece(2, 1, 0, 5));
  accept(job(3, PriorityClass::kInteractive));
  EXPECT_EQ(last_sent<CancelMessage>(kA)->key.request, id_of(2));
  EXPECT_EQ(last_sent<AssignMessage>(kA)->key.request, id_of(3));
  progress(kA, epoch, piece(3, 1, 0, 1, true));
  EXPECT_EQ(last_sent<AssignMessage>(kA)->key.request, id_of(2));
  EXPECT_EQ(last_sent<AssignMessage>(kA)->delivered, tokens(0, 5));
}

TEST_F(DispatcherTest, GoesWhereThePromptWasComputedBefore) {
  const std::uint64_t a = hello(kA);
  accept(job(1));
  hello(kB);
  accept(job(2));
  EXPECT_EQ(last_sent<AssignMessage>(kA)->key.request, id_of(2));
  JobRecord other = job(3);
  other.prompt = {9, 9};
  accept(other);
  EXPECT_EQ(last_sent<AssignMessage>(kB)->key.request, id_of(3));
  progress(kA, a, piece(1, 1, 0, 1, true));
}

TEST_F(DispatcherTest, GoesOnWithWhatARestartFindsOnDisk) {
  dispatcher_.recover(now_, {{.id = id_of(1), .tenant = "t", .num_choices = 1}});
  hello(kA);
  ASSERT_EQ(all<LoadEffect>().size(), 1U);
  StoredJob stored;
  stored.record = job(1);
  stored.choices.resize(1);
  stored.choices[0].tokens = tokens(0, 4);
  dispatcher_.loaded(now_, id_of(1), stored);
  collect();
  ASSERT_TRUE(last_sent<AssignMessage>(kA));
  EXPECT_EQ(last_sent<AssignMessage>(kA)->delivered, tokens(0, 4));
}

TEST_F(DispatcherTest, RefusesToGoOnWithAnotherModel) {
  dispatcher_.recover(now_, {{.id = id_of(1), .tenant = "t", .num_choices = 1}});
  hello(kA);
  StoredJob stored;
  stored.record = job(1);
  stored.record.model_id.bytes[0] = 8;
  stored.choices.resize(1);
  dispatcher_.loaded(now_, id_of(1), stored);
  store();
  ASSERT_EQ(all<EndEffect>().size(), 1U);
  EXPECT_EQ(all<EndEffect>()[0].outcome.state, JobState::kFailed);
}

TEST_F(DispatcherTest, FencesAReplicaOfAnotherModel) {
  HelloMessage message;
  message.max_sequences = 1;
  message.numerics_version = 1;
  dispatcher_.message(now_, kA, {.body = message});
  collect();
  EXPECT_EQ(all<FenceEffect>().size(), 1U);
  EXPECT_FALSE(dispatcher_.any_ready());
}

TEST_F(DispatcherTest, FailsAChoiceThatLosesReplicaAfterReplica) {
  accept(job(1));
  for (int i = 0; i < 3; ++i) {
    hello(kA);
    dispatcher_.replica_lost(now_, kA, "died");
  }
  store();
  ASSERT_EQ(all<EndEffect>().size(), 1U);
  EXPECT_EQ(all<EndEffect>()[0].outcome.state, JobState::kFailed);
}

TEST_F(DispatcherTest, TellsARequestsFaultFromAReplicas) {
  const std::uint64_t epoch = hello(kA);
  accept(job(1));
  ChoiceProgress failed = piece(1, 1, 0, 0, true);
  failed.end->status = Error{ErrorCode::kUnavailable, "full"};
  progress(kA, epoch, failed);
  EXPECT_EQ(last_sent<AssignMessage>(kA)->attempt, 2U);
  failed.attempt = 2;
  failed.end->status = Error{ErrorCode::kExhausted, "never fits"};
  progress(kA, epoch, failed);
  store();
  ASSERT_EQ(all<EndEffect>().size(), 1U);
  EXPECT_EQ(all<EndEffect>()[0].outcome.error, "never fits");
}

TEST_F(DispatcherTest, EndsWithAllChoicesAndStoresEachEnd) {
  const std::uint64_t epoch = hello(kA);
  JobRecord record = job(1);
  record.num_choices = 2;
  accept(record);
  ChoiceProgress second = piece(1, 1, 0, 2, true);
  second.key.choice = 1;
  progress(kA, epoch, second);
  store();
  EXPECT_TRUE(all<EndEffect>().empty());
  EXPECT_EQ(all_writes<EndChoice>().size(), 1U);
  progress(kA, epoch, piece(1, 1, 0, 1, true));
  store();
  EXPECT_EQ(all<EndEffect>().size(), 1U);
}

TEST_F(DispatcherTest, DrainsWithWhatRunsOnDisk) {
  const std::uint64_t epoch = hello(kA, 1);
  accept(job(1));
  accept(job(2));
  progress(kA, epoch, piece(1, 1, 0, 3));
  dispatcher_.drain(now_, 1000);
  dispatcher_.submit(now_, job(3));
  collect();
  EXPECT_EQ(all<AcceptEffect>().back().status.error().code, ErrorCode::kUnavailable);
  advance(500);
  EXPECT_TRUE(all<StopEffect>().empty());
  advance(600);
  store();
  advance(50);
  ASSERT_EQ(all<StopEffect>().size(), 1U);
  EXPECT_TRUE(all<StopEffect>()[0].status.ok());
  EXPECT_EQ(all_writes<AppendTokens>()[0].tokens, tokens(0, 3));
  EXPECT_TRUE(all_writes<EndJob>().empty());
  EXPECT_TRUE(last_sent<DrainMessage>(kA));
}

}  // namespace
}  // namespace lockstep
