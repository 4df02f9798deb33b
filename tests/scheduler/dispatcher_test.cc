#include "scheduler/dispatcher.h"

#include <algorithm>

#include <gtest/gtest.h>

#include "tests/scheduler/dispatcher_support.h"

namespace lockstep {
namespace {

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
  beat.step_age_ms = 59'999;  // Slow: somebody works on it.
  beat.stalled_ms = 3'500;
  say(kA, epoch, beat);
  EXPECT_TRUE(all<FenceEffect>().empty());
  beat.stalled_ms = 3'501;
  say(kA, epoch, beat);
  EXPECT_EQ(all<FenceEffect>().size(), 1U);
  beat = {};
  beat.step_age_ms = 60'001;
  say(kB, hello(kB), beat);
  EXPECT_EQ(all<FenceEffect>().size(), 2U);
  hello(kB);
  advance(4100);
  ASSERT_EQ(all<FenceEffect>().size(), 3U);
  EXPECT_EQ(all<FenceEffect>()[2].replica, kB);
}

TEST_F(DispatcherTest, CondemnsNobodyForItsOwnPause) {
  hello(kA);
  accept(job(1));
  dispatcher_.watch(now_, id_of(1), 1);
  dispatcher_.watch(now_, id_of(1), -1);
  advance(50);
  now_.mono_ms += 60'000;
  dispatcher_.tick(now_);
  store();
  EXPECT_TRUE(all<FenceEffect>().empty());
  EXPECT_TRUE(all<EndEffect>().empty());
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

TEST_F(DispatcherTest, KeepsAJobWithAKeyThatIsOnDiskAlone) {
  dispatcher_.recover(now_, {{.id = id_of(1), .tenant = "t", .keep_without_client = true}});
  dispatcher_.watch(now_, id_of(1), 1);
  dispatcher_.watch(now_, id_of(1), -1);
  advance(30'100);
  store();
  EXPECT_EQ(dispatcher_.num_jobs(), 1U);
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

TEST_F(DispatcherTest, LeavesInPlaceWhatHasRisenToTheClass) {
  accept(job(1, PriorityClass::kBatch));
  advance(30'100);
  hello(kA, 1);
  accept(job(2, PriorityClass::kNormal));
  EXPECT_FALSE(last_sent<CancelMessage>(kA));
}

TEST_F(DispatcherTest, MakesNoRoomForAnEqualThatHasRisen) {
  const std::uint64_t epoch = hello(kA, 1);
  accept(job(1));
  accept(job(2));
  for (int s = 0; s < 31; ++s, advance(1000)) say(kA, epoch, BeatMessage{});
  EXPECT_FALSE(last_sent<CancelMessage>(kA));
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

TEST_F(DispatcherTest, KeepsAPlaceForWhatIsBeingLoaded) {
  dispatcher_.recover(now_, {{.id = id_of(1), .tenant = "t"}});
  hello(kA, 1);
  accept(job(2));
  EXPECT_FALSE(last_sent<AssignMessage>(kA));
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

TEST_F(DispatcherTest, CountsAHelloBehindAnUnheardWelcomeAsNoLoss) {
  accept(job(1));
  for (int i = 0; i < 100; ++i) hello(kA);
  store();
  EXPECT_TRUE(all<EndEffect>().empty());
  EXPECT_EQ(dispatcher_.num_running(), 1U);
}

TEST_F(DispatcherTest, CountsAGenerationThatHadBegunAsALoss) {
  accept(job(1));
  for (int i = 0; i < 4; ++i) dispatcher_.message(now_, kA, {hello(kA), 1, BeatMessage{}});
  collect();
  store();
  ASSERT_EQ(all<EndEffect>().size(), 1U);
  EXPECT_EQ(all<EndEffect>()[0].outcome.state, JobState::kFailed);
}

TEST_F(DispatcherTest, DoesNotCountRoomMadeForOthersAsALoss) {
  const std::uint64_t epoch = hello(kA, 1);
  accept(job(1, PriorityClass::kBatch));
  for (std::uint8_t n = 2; n <= 5; ++n) {
    accept(job(n, PriorityClass::kInteractive));
    progress(kA, epoch, piece(n, 1, 0, 1, true));
    store();
  }
  EXPECT_EQ(last_sent<AssignMessage>(kA)->attempt, 5U);
  dispatcher_.replica_lost(now_, kA, "died");
  store();
  EXPECT_EQ(dispatcher_.num_jobs(), 1U);
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

TEST_F(DispatcherTest, AcceptsJobsTogetherWithWhatIsWrittenWithThem) {
  dispatcher_.submit_all(now_, {job(1), job(2)}, {EndJob{.id = id_of(9), .outcome = {}}});
  collect();
  EXPECT_EQ(unstored_.size(), 1U);
  EXPECT_EQ(all_writes<InsertJob>().size(), 2U);
  EXPECT_EQ(all_writes<EndJob>().size(), 1U);
  store();
  ASSERT_EQ(all<AcceptEffect>().size(), 2U);
  EXPECT_TRUE(all<AcceptEffect>()[1].status.ok());
  EXPECT_EQ(dispatcher_.num_queued(), 2U);
}

TEST_F(DispatcherTest, AcceptsNoneOfTheJobsOfAFailedCommit) {
  dispatcher_.submit_all(now_, {job(1), job(2)}, {});
  store(Error{ErrorCode::kExhausted, "disk full"});
  ASSERT_EQ(all<AcceptEffect>().size(), 2U);
  EXPECT_FALSE(all<AcceptEffect>()[0].status.ok());
  EXPECT_FALSE(all<AcceptEffect>()[1].status.ok());
  EXPECT_EQ(dispatcher_.num_jobs(), 0U);
}

}  // namespace
}  // namespace lockstep
