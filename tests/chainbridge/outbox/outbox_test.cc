#include "chainbridge/outbox/outbox.h"

#include "tests/chainbridge/outbox/outbox_fixture.h"

namespace lockstep {
namespace {

using enum OutboxState;
using testing::Test;

using OutboxPoll = OutboxFixture;
using OutboxAdd = OutboxFixture;

TEST_F(OutboxAdd, TakesAKeyOnce) {
  ASSERT_TRUE(database->execute("BEGIN IMMEDIATE").ok());
  EXPECT_TRUE(outbox->add(intent("a")).value());
  EXPECT_FALSE(outbox->add(intent("a")).value());
  OutboxIntent other = intent("a");
  other.value = 1;
  EXPECT_EQ(outbox->add(other).error().code, ErrorCode::kInvalidArgument);
  ASSERT_TRUE(database->execute("COMMIT").ok());
  EXPECT_EQ(row("a").intent, intent("a"));
}

TEST_F(OutboxAdd, IsUndoneWithTheCallersTransaction) {
  ASSERT_TRUE(database->execute("BEGIN IMMEDIATE").ok());
  EXPECT_TRUE(outbox->add(intent("a")).value());
  ASSERT_TRUE(database->execute("ROLLBACK").ok());
  EXPECT_FALSE(outbox->find("a").value().has_value());
}

TEST_F(OutboxPoll, TakesAWriteFromIntentToFinal) {
  add("a");
  EXPECT_EQ(state("a"), kIntent);
  EXPECT_TRUE(poll().empty());
  EXPECT_EQ(state("a"), kSent);
  EXPECT_EQ(row("a").nonce, 0U);
  chain.mine();
  poll();
  EXPECT_EQ(state("a"), kIncluded);
  chain.mine(3);
  poll();
  EXPECT_EQ(state("a"), kIncluded) << "three blocks behind it, four make it final";
  chain.mine();
  poll();
  EXPECT_EQ(state("a"), kFinal);
  EXPECT_EQ(row("a").paid, *checked_mul(row("a").fees.max_fee, FakeChain::kGasUsed));
  EXPECT_EQ(ended, std::vector<std::string>{"a"});
  EXPECT_EQ(times_done("a"), 1);
  EXPECT_EQ(signer.num_signed, 1);
}

TEST_F(OutboxPoll, StoresTheBytesBeforeAnyoneSeesThem) {
  add("a");
  poll();
  ASSERT_EQ(chain.broadcasts.size(), 1U);
  EXPECT_EQ(row("a").attempts.at(0).bytes, chain.broadcasts[0]);
  EXPECT_EQ(row("a").attempts.at(0).hash, keccak256(ByteView(chain.broadcasts[0])));
}

TEST_F(OutboxPoll, GivesManyWritesNoncesWithoutGaps) {
  policy.max_in_flight = 4;
  restart();
  for (const char* key : {"a", "b", "c", "d", "e", "f"}) add(key);
  poll();
  EXPECT_EQ(chain.pool.size(), 4U) << "no more at a time than the policy says";
  settle();
  for (const char* key : {"a", "b", "c", "d", "e", "f"}) {
    EXPECT_EQ(state(key), kFinal) << key;
    EXPECT_EQ(times_done(key), 1) << key;
  }
  EXPECT_EQ(row("f").nonce, 5U);
}

TEST_F(OutboxPoll, SendsTheSameBytesAgainWhenTheyAreForgotten) {
  add("a");
  chain.is_deaf = true;
  poll();
  chain.is_deaf = false;
  clock.now_ms += policy.resend_ms;
  poll();
  ASSERT_EQ(chain.broadcasts.size(), 2U);
  EXPECT_EQ(chain.broadcasts[0], chain.broadcasts[1]);
  settle();
  EXPECT_EQ(state("a"), kFinal);
  EXPECT_EQ(signer.num_signed, 1);
}

TEST_F(OutboxPoll, ReplacesWithHigherFeesAndFindsWhicheverIsMined) {
  for (const bool mines_the_first : {true, false}) {
    const std::string key = mines_the_first ? "first" : "second";
    add(key);
    poll();
    const std::vector<SignedTransaction> first = chain.pool;
    clock.now_ms += policy.replace_ms;
    poll();
    ASSERT_EQ(row(key).attempts.size(), 2U);
    const GasFees before = row(key).attempts[0].fees;
    const GasFees after = row(key).attempts[1].fees;
    EXPECT_GE(*checked_mul(after.max_fee, 8), *checked_mul(before.max_fee, 9));
    EXPECT_GE(*checked_mul(after.max_priority, 8), *checked_mul(before.max_priority, 9));
    if (mines_the_first) chain.pool = first;
    settle();
    EXPECT_EQ(state(key), kFinal);
    EXPECT_EQ(row(key).mined, row(key).attempts[mines_the_first ? 0 : 1].hash);
    EXPECT_EQ(times_done(key), 1);
  }
}

TEST_F(OutboxPoll, StopsReplacingAtTheCeiling) {
  policy.max_fee_per_gas = 2'100;  // The first offer is 2,000; an eighth more is too much.
  restart();
  add("a");
  poll();
  clock.now_ms += policy.replace_ms;
  const std::vector<std::string> alarms = poll();
  ASSERT_EQ(alarms.size(), 1U);
  EXPECT_NE(alarms[0].find("ceiling"), std::string::npos) << alarms[0];
  EXPECT_EQ(row("a").attempts.size(), 1U);
}

TEST_F(OutboxPoll, WaitsWhereFeesMoneyOrTheDayAreUsedUp) {
  struct Case {
    const char* key;
    std::function<void()> hinder, help;
    const char* says;
  };
  const GasFees usual = chain.suggested;
  const Uint256 rich = chain.balance;
  const Case cases[] = {
      {"spike", [&] { chain.suggested.max_priority = policy.max_fee_per_gas; },
       [&] { chain.suggested = usual; }, "ceiling"},
      {"empty", [&] { chain.balance = 1'000; }, [&] { chain.balance = rich; }, "send it some"},
  };
  for (const Case& c : cases) {
    c.hinder();
    add(c.key);
    const std::vector<std::string> alarms = poll();
    ASSERT_EQ(alarms.size(), 1U) << c.key;
    EXPECT_NE(alarms[0].find(c.says), std::string::npos) << alarms[0];
    EXPECT_EQ(state(c.key), kIntent);
    EXPECT_FALSE(row(c.key).nonce) << "nothing is reserved for what cannot be paid";
    c.help();
    settle();
    EXPECT_EQ(state(c.key), kFinal);
  }
}

TEST_F(OutboxPoll, KeepsToTheFeesOfADay) {
  // One write reserves 62,500 gas at 2,000 wei; two do not fit.
  policy.max_fees_per_day = 130'000'000;
  restart();
  add("a");
  settle();
  add("b");
  poll();
  EXPECT_EQ(state("b"), kIntent);
  clock.now_ms += 86'400'000;
  settle();
  EXPECT_EQ(state("b"), kFinal) << "tomorrow";
}

TEST_F(OutboxPoll, TreatsAlreadyRecordedAsDoneOnceThatIsFinal) {
  add("a");
  settle();
  chain.contract = [](const Bytes&, int) -> std::optional<Bytes> {
    return encode_abi_call("AlreadyRecorded()", {}).value();
  };
  add("again");
  poll();
  EXPECT_EQ(state("again"), kFinal);
  EXPECT_EQ(row("again").reason, "AlreadyRecorded()");
  EXPECT_FALSE(row("again").nonce) << "no transaction was needed";
}

TEST_F(OutboxPoll, WaitsForTimeToHelpAndGivesUpOnTheRest) {
  std::string error = "TooEarly()";
  chain.contract = [&error](const Bytes&, int) -> std::optional<Bytes> {
    if (error.empty()) return std::nullopt;
    return encode_abi_call(error, {}).value();
  };
  add("later");
  poll();
  EXPECT_EQ(state("later"), kIntent);
  error = "";
  settle();
  EXPECT_EQ(state("later"), kFinal);
  error = "Forbidden()";
  add("never");
  EXPECT_EQ(poll().size(), 1U);
  EXPECT_EQ(state("never"), kFailed);
  EXPECT_EQ(row("never").reason, "Forbidden()");
  EXPECT_EQ(signer.num_signed, 1) << "nothing was spent on it";
}

TEST_F(OutboxPoll, DoesNotTakeRevertedForDone) {
  std::string error;
  chain.contract = [&error](const Bytes&, int) -> std::optional<Bytes> {
    if (error.empty()) return std::nullopt;
    return encode_abi_call(error, {}).value();
  };
  add("retried");
  poll();
  error = "TooEarly()";
  chain.mine();  // Reverted in its block.
  error = "";
  for (int i = 0; i < 8 && state("retried") != kIntent; ++i) {
    chain.mine();
    poll();
  }
  EXPECT_EQ(state("retried"), kIntent);
  EXPECT_EQ(row("retried").tries, 1U);
  EXPECT_EQ(times_done("retried"), 0);
  clock.now_ms += 100'000;
  settle();
  EXPECT_EQ(state("retried"), kFinal);
  EXPECT_EQ(times_done("retried"), 1);

  add("given_up");
  poll();
  error = "Forbidden()";
  settle();
  EXPECT_EQ(state("given_up"), kFailed);
  EXPECT_EQ(row("given_up").reason, "Forbidden()");
}

TEST_F(OutboxPoll, SendsAgainWhatAReorganizationTookAway) {
  for (const bool keeps : {true, false}) {
    const std::string key = keeps ? "kept" : "lost";
    add(key);
    poll();
    chain.mine();
    poll();
    ASSERT_EQ(state(key), kIncluded);
    chain.reorganize(1, keeps);
    poll();
    EXPECT_EQ(state(key), kSent) << key;
    settle();
    EXPECT_EQ(state(key), kFinal) << key;
    EXPECT_EQ(times_done(key), 1) << key;
  }
  EXPECT_EQ(signer.num_signed, 2) << "always the same bytes";
}

TEST_F(OutboxPoll, StopsWhenAFinalBlockVanishes) {
  add("a");
  settle();
  ASSERT_EQ(state("a"), kFinal);
  chain.reorganize(6, false);
  add("b");
  EXPECT_NE(poll().at(0).find("was final and is no longer"), std::string::npos);
  for (int i = 0; i < 3; ++i) {
    chain.mine();
    EXPECT_EQ(outbox->poll().error().code, ErrorCode::kAborted);
  }
  restart();
  EXPECT_EQ(outbox->poll().error().code, ErrorCode::kAborted) << "also in the next process";
  EXPECT_EQ(signer.num_signed, 1) << "nothing more was signed";
  ASSERT_TRUE(outbox->reset_halt().ok());
  settle();
  EXPECT_EQ(state("b"), kFinal) << "once a person says so";
  EXPECT_EQ(state("a"), kFinal) << "its bytes were sent again";
  EXPECT_EQ(times_done("a"), 1);
  EXPECT_EQ(signer.num_signed, 2);
}

TEST_F(OutboxPoll, StartsAgainWhenAStrangerHasUsedItsNonce) {
  add("a");
  chain.is_deaf = true;
  poll();
  chain.is_deaf = false;
  chain.mine_strangers();
  chain.mine(3);
  poll();
  EXPECT_EQ(state("a"), kSent) << "the stranger's block may still vanish";
  chain.mine();
  const std::vector<std::string> alarms = poll();
  ASSERT_EQ(alarms.size(), 1U);
  EXPECT_NE(alarms[0].find("another process"), std::string::npos);
  clock.now_ms += 100'000;
  settle();
  EXPECT_EQ(state("a"), kFinal);
  EXPECT_EQ(row("a").nonce, 1U);
  EXPECT_EQ(times_done("a"), 1);
}

TEST_F(OutboxPoll, GivesTheNonceBackWhenTheSignerRefuses) {
  signer.refusal = Error{ErrorCode::kPermission, "not on the list"};
  add("refused");
  EXPECT_EQ(poll().size(), 1U);
  EXPECT_EQ(state("refused"), kFailed);
  EXPECT_FALSE(row("refused").nonce);
  signer.refusal.reset();
  add("allowed");
  settle();
  EXPECT_EQ(row("allowed").nonce, 0U) << "no gap";
  EXPECT_EQ(state("allowed"), kFinal);
}

TEST_F(OutboxPoll, HoldsTheLineWhileTheSignerIsAway) {
  signer.refusal = Error{ErrorCode::kUnavailable, "nobody answers"};
  add("a");
  add("b");
  poll();
  EXPECT_EQ(row("a").nonce, 0U);
  EXPECT_FALSE(row("b").nonce) << "one reservation at a time";
  signer.refusal.reset();
  settle();
  EXPECT_EQ(state("a"), kFinal);
  EXPECT_EQ(state("b"), kFinal);
}

TEST_F(OutboxPoll, WaitsWhileTheChainCannotBeSeen) {
  add("a");
  chain.outage = Error{ErrorCode::kUnavailable, "no endpoint"};
  EXPECT_EQ(outbox->poll().error().code, ErrorCode::kUnavailable);
  EXPECT_EQ(state("a"), kIntent);
  chain.outage.reset();
  settle();
  EXPECT_EQ(state("a"), kFinal);
}

TEST_F(OutboxPoll, DoesNotBelieveANodesWordAboutABroadcast) {
  using Kind = BroadcastOutcome::Kind;
  for (const Kind kind :
       {Kind::kNonceTooLow, Kind::kUnderpriced, Kind::kInsufficient, Kind::kRefused}) {
    const std::string key = "kind" + std::to_string(static_cast<int>(kind));
    add(key);
    chain.broadcast_answer = BroadcastOutcome{kind, "no"};
    poll();
    EXPECT_EQ(state(key), kSent);
    chain.broadcast_answer.reset();
    clock.now_ms += policy.resend_ms;
    settle();
    EXPECT_EQ(state(key), kFinal);
  }
}

TEST_F(OutboxPoll, RefusesTheDatabaseOfAnotherChainOrKey) {
  OutboxConfig config;
  config.owner = {{2, keccak256("genesis")}, FakeSigner::address()};
  outbox.reset();
  EXPECT_EQ(Outbox::open(*database, chain, signer, config, clock).error().code,
            ErrorCode::kInvalidArgument);
}

}  // namespace
}  // namespace lockstep
