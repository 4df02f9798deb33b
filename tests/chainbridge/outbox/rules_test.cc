// The table of states and events, whole.
#include "chainbridge/outbox/rules.h"

#include <gtest/gtest.h>

#include <map>

namespace lockstep {
namespace {

using enum OutboxState;
using enum OutboxAction;

// What the chain can show of a nonce.
enum Event {
  kUnseen,
  kUsed,
  kUsedFinally,
  kMined,
  kMovedBlock,
  kMinedFinally,
  kReverted,
  kRevertedFinally
};
constexpr Event kEvents[] = {kUnseen,     kUsed,         kUsedFinally, kMined,
                             kMovedBlock, kMinedFinally, kReverted,    kRevertedFinally};

const BlockId kBlock{10, keccak256("block")};

OutboxSighting sighting_of(Event event) {
  OutboxSighting sighting;
  sighting.is_nonce_used = event != kUnseen;
  sighting.is_nonce_used_final =
      event == kUsedFinally || event == kMinedFinally || event == kRevertedFinally;
  if (event < kMined) return sighting;
  sighting.receipt = TransactionReceipt{keccak256("hash"), kBlock, event < kReverted, 1, 1};
  if (event == kMovedBlock) sighting.receipt->block = {11, keccak256("other")};
  sighting.is_receipt_final = event == kMinedFinally || event == kRevertedFinally;
  return sighting;
}

OutboxRow row_of(OutboxState state) {
  OutboxRow row;
  row.state = state;
  row.nonce = 3;
  row.attempts.push_back({keccak256("hash"), {1}, {1, 1}, 1'000});
  row.sent_ms = 1'000;
  if (state == kIncluded) {
    row.block = kBlock;
    row.mined = keccak256("hash");
  }
  return row;
}

OutboxAction act(const OutboxRow& row, Event event, OutboxMoment moment = {1'500, true}) {
  return next_action(row, sighting_of(event), moment, OutboxPolicy{});
}

TEST(NextAction, CoversEveryStateAndEvent) {
  const std::map<OutboxState, std::map<Event, OutboxAction>> table = {
      {kIntent,  // With a nonce that is reserved, and nothing signed.
       {{kUnseen, kSign},
        {kUsed, kWait},
        {kUsedFinally, kStranger},
        {kMined, kWait},
        {kMovedBlock, kWait},
        {kMinedFinally, kStranger},
        {kReverted, kWait},
        {kRevertedFinally, kStranger}}},
      {kSigned,
       {{kUnseen, kSend},
        {kUsed, kWait},
        {kUsedFinally, kStranger},
        {kMined, kInclude},
        {kMovedBlock, kInclude},
        {kMinedFinally, kFinish},
        {kReverted, kInclude},
        {kRevertedFinally, kExamine}}},
      {kSent,
       {{kUnseen, kWait},
        {kUsed, kWait},
        {kUsedFinally, kStranger},
        {kMined, kInclude},
        {kMovedBlock, kInclude},
        {kMinedFinally, kFinish},
        {kReverted, kInclude},
        {kRevertedFinally, kExamine}}},
      {kIncluded,
       {{kUnseen, kVanish},
        {kUsed, kVanish},
        {kUsedFinally, kStranger},
        {kMined, kWait},
        {kMovedBlock, kInclude},
        {kMinedFinally, kFinish},
        {kReverted, kWait},
        {kRevertedFinally, kExamine}}},
  };
  for (const auto& [state, events] : table) {
    for (const Event event : kEvents) {
      SCOPED_TRACE(testing::Message() << outbox_state_name(state) << " event " << event);
      ASSERT_TRUE(events.contains(event)) << "an empty cell";
      EXPECT_EQ(outbox_action_name(act(row_of(state), event)),
                outbox_action_name(events.at(event)));
    }
  }
  for (const Event event : kEvents) {
    EXPECT_EQ(act(row_of(kFinal), event), kWait);
    EXPECT_EQ(act(row_of(kFailed), event), kWait);
  }
}

TEST(NextAction, SignsAnIntentWhenItsTimeHasCome) {
  OutboxRow row;
  row.not_before_ms = 2'000;
  EXPECT_EQ(act(row, kUnseen, {1'999, true}), kWait);
  EXPECT_EQ(act(row, kUnseen, {2'000, true}), kSign);
}

TEST(NextAction, SendsTheSameBytesAgainAfterAWhile) {
  const OutboxPolicy policy;
  EXPECT_EQ(act(row_of(kSent), kUnseen, {1'000 + policy.resend_ms - 1, true}), kWait);
  EXPECT_EQ(act(row_of(kSent), kUnseen, {1'000 + policy.resend_ms, true}), kSend);
}

TEST(NextAction, ReplacesTheLowestNonceAlone) {
  const OutboxPolicy policy;
  OutboxRow row = row_of(kSent);
  const std::int64_t later = 1'000 + policy.replace_ms;
  EXPECT_EQ(act(row, kUnseen, {later - 1, true}), kSend);
  EXPECT_EQ(act(row, kUnseen, {later, true}), kReplace);
  EXPECT_EQ(act(row, kUnseen, {later, false}), kSend) << "another nonce is in front";
  row.attempts.resize(policy.max_attempts, row.attempts.front());
  EXPECT_EQ(act(row, kUnseen, {later, true}), kSend) << "tried often enough";
}

TEST(RevertRules, GivesUpOnWhatItDoesNotKnow) {
  const RevertRules rules{{}, {"Done"}, {"Later"}};
  EXPECT_EQ(rules.verdict({"Done", "", {}}), RevertVerdict::kDone);
  EXPECT_EQ(rules.verdict({"Later", "", {}}), RevertVerdict::kRetry);
  EXPECT_EQ(rules.verdict({"Error", "", {}}), RevertVerdict::kGiveUp);
  EXPECT_EQ(rules.verdict({"", "", {}}), RevertVerdict::kGiveUp);
}

TEST(NextTry, DoublesUpToABound) {
  const OutboxPolicy policy;
  EXPECT_EQ(next_try_ms(0, 1, policy), 2 * policy.retry_ms);
  EXPECT_EQ(next_try_ms(0, 2, policy), 4 * policy.retry_ms);
  EXPECT_EQ(next_try_ms(0, 1000, policy), next_try_ms(0, 8, policy));
}

}  // namespace
}  // namespace lockstep
