#include "chainbridge/outbox/rules.h"

#include <algorithm>

namespace lockstep {
namespace {

constexpr std::uint32_t kMaxDoublings = 8;

// With a receipt: where it is, and whether that was known.
OutboxAction act_on_receipt(const OutboxRow& row, const OutboxSighting& sighting) {
  const TransactionReceipt& receipt = *sighting.receipt;
  if (sighting.is_receipt_final) {
    return receipt.is_success ? OutboxAction::kFinish : OutboxAction::kExamine;
  }
  const bool is_known = row.state == OutboxState::kIncluded && row.block == receipt.block &&
                        row.mined == receipt.transaction;
  return is_known ? OutboxAction::kWait : OutboxAction::kInclude;
}

OutboxAction act_on_unmined(const OutboxRow& row, const OutboxMoment& moment,
                            const OutboxPolicy& policy) {
  if (row.state == OutboxState::kSigned) return OutboxAction::kSend;
  const std::int64_t signed_ms = row.attempts.empty() ? 0 : row.attempts.back().signed_ms;
  if (moment.is_lowest_nonce && row.attempts.size() < policy.max_attempts &&
      moment.now_ms - signed_ms >= policy.replace_ms) {
    return OutboxAction::kReplace;
  }
  return moment.now_ms - row.sent_ms >= policy.resend_ms ? OutboxAction::kSend
                                                         : OutboxAction::kWait;
}

}  // namespace

std::string_view outbox_state_name(OutboxState state) {
  constexpr std::string_view kNames[] = {"intent", "signed", "sent", "included", "final", "failed"};
  return kNames[static_cast<std::size_t>(state)];
}

std::string_view outbox_action_name(OutboxAction action) {
  constexpr std::string_view kNames[] = {"wait",   "sign",   "send",    "replace", "include",
                                         "vanish", "finish", "examine", "stranger"};
  return kNames[static_cast<std::size_t>(action)];
}

OutboxAction next_action(const OutboxRow& row, const OutboxSighting& sighting,
                         const OutboxMoment& moment, const OutboxPolicy& policy) {
  switch (row.state) {
    case OutboxState::kFinal:
    case OutboxState::kFailed:
      return OutboxAction::kWait;
    case OutboxState::kIntent:
      if (!row.nonce) {
        return moment.now_ms >= row.not_before_ms ? OutboxAction::kSign : OutboxAction::kWait;
      }
      // Reserved and not signed: nobody has bytes of it, so a nonce that is taken is given up.
      if (sighting.is_nonce_used_final) return OutboxAction::kStranger;
      return sighting.is_nonce_used ? OutboxAction::kWait : OutboxAction::kSign;
    case OutboxState::kSigned:
    case OutboxState::kSent:
    case OutboxState::kIncluded:
      break;
  }
  if (sighting.receipt) return act_on_receipt(row, sighting);
  if (sighting.is_nonce_used_final) return OutboxAction::kStranger;
  if (row.state == OutboxState::kIncluded) return OutboxAction::kVanish;
  if (sighting.is_nonce_used) return OutboxAction::kWait;
  return act_on_unmined(row, moment, policy);
}

RevertVerdict RevertRules::verdict(const Revert& revert) const {
  if (revert.name.empty()) return RevertVerdict::kGiveUp;
  if (std::ranges::find(done, revert.name) != done.end()) return RevertVerdict::kDone;
  if (std::ranges::find(retry, revert.name) != retry.end()) return RevertVerdict::kRetry;
  return RevertVerdict::kGiveUp;
}

std::int64_t next_try_ms(std::int64_t now_ms, std::uint32_t tries, const OutboxPolicy& policy) {
  return now_ms + (policy.retry_ms << std::min(tries, kMaxDoublings));
}

}  // namespace lockstep
