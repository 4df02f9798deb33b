// What the outbox does with one row. Every change is one transaction; a crash on either side of it
// leaves a row that the next poll goes on with.
#include <algorithm>
#include <utility>

#include "base/crash_point.h"
#include "base/log.h"
#include "chainbridge/outbox/fees.h"
#include "chainbridge/outbox/outbox.h"

namespace lockstep {
namespace {

constexpr std::int64_t kDayMs = 86'400'000;

// Saturates: beyond 2^256 wei nothing is affordable anyway.
Uint256 sum(const Uint256& a, const Uint256& b) {
  Uint256 most;
  most.limbs.fill(UINT64_MAX);
  return checked_add(a, b).value_or(most);
}

Uint256 worst_of(const OutboxRow& row) {
  Uint256 most;
  most.limbs.fill(UINT64_MAX);
  return worst_fee(row.gas_limit, row.fees).value_or(most);
}

ChainCall call_of(const OutboxRow& row, const Address& sender) {
  return {sender, row.intent.to, row.intent.value, row.intent.data};
}

}  // namespace

// A row that waits and says why.
Status Outbox::wait(OutboxRow& row, const std::string& reason) {
  row.reason = reason;
  row.not_before_ms = clock_->unix_ms() + config_.policy.retry_ms;
  return transact([&] { return tables_.update(row); });
}

Status Outbox::end(OutboxRow& row, OutboxState state, std::string reason) {
  row.state = state;
  row.reason = std::move(reason);
  if (state == OutboxState::kFinal) calm(row.intent.key);
  LOCKSTEP_TRY(tables_.update(row), "outbox");
  if (listener_) LOCKSTEP_TRY(listener_(row), "outbox");
  return {};
}

// Begins with a new nonce later, or gives up. In a transaction.
Status Outbox::try_again(OutboxRow& row, std::string reason) {
  row.tries += 1;
  if (row.tries >= config_.policy.max_tries) {
    alarm(row.intent.key, reason);
    return end(row, OutboxState::kFailed, std::move(reason));
  }
  row.state = OutboxState::kIntent;
  row.nonce.reset();
  row.attempts.clear();
  row.block.reset();
  row.mined = {};
  row.sent_ms = 0;
  row.not_before_ms = next_try_ms(clock_->unix_ms(), row.tries, config_.policy);
  row.reason = std::move(reason);
  return tables_.update(row);
}

// What a final block took for gas. In a transaction.
Status Outbox::take_cost(OutboxRow& row, const TransactionReceipt& receipt) {
  const Uint256 cost =
      checked_mul(Uint256(receipt.gas_used), receipt.gas_price).value_or(worst_of(row));
  row.paid = sum(row.paid, cost);
  row.block = receipt.block;
  row.mined = receipt.transaction;
  return tables_.add_fees(clock_->unix_ms() / kDayMs, cost);
}

// A row without a nonce: would it do what it should, and can it be paid?
Status Outbox::begin(OutboxRow& row, Sight& sight) {
  const ChainCall call = call_of(row, config_.owner.sender);
  LOCKSTEP_TRY_ASSIGN(const CallOutcome outcome, chain_->call(call, sight.heads.latest.id),
                      "preflight");
  if (outcome.is_reverted) return act_on_preflight(row, outcome, sight);
  LOCKSTEP_TRY_ASSIGN(const std::optional<Offer> offer, make_offer(row, outcome.gas, sight),
                      "fees");
  if (!offer) return {};
  LOCKSTEP_TRY_ASSIGN(const std::uint64_t next, tables_.next_nonce(), "nonce");
  LOCKSTEP_TRY_ASSIGN(row.nonce, tables_.free_nonce(std::max(next, sight.account.nonce)), "nonce");
  row.gas_limit = offer->gas_limit;
  row.fees = offer->fees;
  row.reason.clear();
  calm(row.intent.key);
  const Status committed = transact([&]() -> Status {
    LOCKSTEP_TRY(tables_.set_next_nonce(*row.nonce + 1), "reserve");
    LOCKSTEP_TRY(tables_.update(row), "reserve");
    CRASH_POINT("outbox.reserve");
    return {};
  });
  LOCKSTEP_TRY(committed, "reserve");
  CRASH_POINT("outbox.reserved");
  LOCKSTEP_TRY(sign_and_store(row), "sign");
  return row.state == OutboxState::kSigned ? send(row) : Status();
}

// A revert at the latest block is a reason to wait; one at the final block, too, is a verdict.
Status Outbox::act_on_preflight(OutboxRow& row, const CallOutcome& outcome, const Sight& sight) {
  const Revert now = config_.rules.table.decode(outcome.data);
  const RevertVerdict verdict = config_.rules.verdict(now);
  if (verdict == RevertVerdict::kRetry) return wait(row, now.text);
  LOCKSTEP_TRY_ASSIGN(const CallOutcome final_outcome,
                      chain_->call(call_of(row, config_.owner.sender), sight.heads.final.id),
                      "preflight");
  const Revert then = config_.rules.table.decode(final_outcome.data);
  if (!final_outcome.is_reverted || config_.rules.verdict(then) != verdict) {
    return wait(row, now.text);
  }
  const bool is_done = verdict == RevertVerdict::kDone;
  if (!is_done) alarm(row.intent.key, then.text);
  const Status committed = transact([&]() -> Status {
    LOCKSTEP_TRY(end(row, is_done ? OutboxState::kFinal : OutboxState::kFailed, then.text),
                 "preflight");
    CRASH_POINT("outbox.preflight");
    return {};
  });
  LOCKSTEP_TRY(committed, "preflight");
  return {};
}

Uint256 Outbox::fee_cap(const OutboxRow& row, std::uint64_t gas_limit) const {
  const Uint256 left = checked_sub(row.intent.fee_ceiling, row.paid).value_or(Uint256{});
  return std::min(config_.policy.max_fee_per_gas, divide(left, gas_limit).value);
}

// Nothing, and the row says why it waits, where a ceiling or the balance is in the way.
Result<std::optional<Outbox::Offer>> Outbox::make_offer(const OutboxRow& row, std::uint64_t gas,
                                                        const Sight& sight) {
  OutboxRow waiting = row;
  const auto refuse = [&](const std::string& why) -> Result<std::optional<Offer>> {
    alarm(row.intent.key, why);
    LOCKSTEP_TRY(wait(waiting, why), "fees");
    return std::optional<Offer>();
  };
  const auto more = checked_mul(Uint256(gas), 100 + config_.policy.gas_headroom_percent);
  const auto gas_limit = more ? divide(*more, 100).value.u64() : std::nullopt;
  if (!gas_limit || *gas_limit == 0) return refuse("no estimate of its gas");
  const Uint256 cap = fee_cap(row, *gas_limit);
  const std::optional<GasFees> fees = first_fees(sight.suggested, sight.heads.latest.base_fee, cap);
  if (!fees) {
    return refuse("fees are above the ceiling of " + cap.decimal() + " wei a gas: base fee " +
                  sight.heads.latest.base_fee.decimal() + ", tip " +
                  sight.suggested.max_priority.decimal());
  }
  waiting.gas_limit = *gas_limit;
  waiting.fees = *fees;
  Uint256 fees_in_flight = worst_of(waiting);
  Uint256 owed = sum(fees_in_flight, row.intent.value);
  for (const OutboxRow& other : sight.in_flight) {
    fees_in_flight = sum(fees_in_flight, worst_of(other));
    const bool is_mined = other.nonce && *other.nonce < sight.account.nonce;
    if (!is_mined) owed = sum(owed, sum(worst_of(other), other.intent.value));
  }
  waiting = row;
  LOCKSTEP_TRY_ASSIGN(const Uint256 paid, tables_.fees_of_day(clock_->unix_ms() / kDayMs), "fees");
  if (sum(paid, fees_in_flight) > config_.policy.max_fees_per_day) {
    return refuse("the fees of this day are used up: " + paid.decimal() + " wei paid, at most " +
                  config_.policy.max_fees_per_day.decimal());
  }
  if (owed > sight.account.balance) {
    return refuse("the account " + config_.owner.sender.text() + " has " +
                  sight.account.balance.decimal() + " wei and needs " + owed.decimal() +
                  ": send it some");
  }
  return std::optional(Offer{*gas_limit, *fees});
}

// Has the row's transaction signed, with its fees as they are, and stores the bytes. A row that
// stays as it was is tried again by the next poll.
Status Outbox::sign_and_store(OutboxRow& row) {
  CHECK(row.nonce.has_value(), "signing without a nonce");
  Transaction transaction{.chain_id = config_.owner.chain.chain_id,
                          .nonce = *row.nonce,
                          .fees = row.fees,
                          .gas_limit = row.gas_limit,
                          .to = row.intent.to,
                          .value = row.intent.value,
                          .data = row.intent.data};
  Result<Bytes> bytes = signer_->sign(transaction);
  if (!bytes.ok()) return refuse(row, bytes.error());
  // The signer is another process: what it gave is looked at before it counts.
  const Result<SignedTransaction> made = decode_signed(bytes.value());
  const bool is_ours = made.ok() && made.value().transaction == transaction &&
                       sender_of(made.value()).ok() &&
                       sender_of(made.value()).value() == config_.owner.sender;
  if (!is_ours) {
    return refuse(row, {ErrorCode::kCorrupt, "the signer signed something else, or as another"});
  }
  CRASH_POINT("outbox.signed");
  OutboxAttempt attempt{keccak256(ByteView(bytes.value())), std::move(bytes).value(), row.fees,
                        clock_->unix_ms()};
  if (row.state == OutboxState::kIntent) row.state = OutboxState::kSigned;
  const Status committed = transact([&]() -> Status {
    LOCKSTEP_TRY(tables_.add_attempt(row, attempt), "store");
    CRASH_POINT("outbox.store");
    return {};
  });
  LOCKSTEP_TRY(committed, "store");
  CRASH_POINT("outbox.stored");
  row.attempts.push_back(std::move(attempt));
  return {};
}

// What no signer signed has no bytes anywhere: its nonce, the highest, is given back.
Status Outbox::refuse(OutboxRow& row, const Error& error) {
  const std::string why = "signer: " + error.message;
  alarm(row.intent.key, why);
  const bool is_final_word = error.code == ErrorCode::kPermission;
  if (!is_final_word || row.state != OutboxState::kIntent) return {};
  LOCKSTEP_TRY_ASSIGN(const std::uint64_t next, tables_.next_nonce(), "nonce");
  return transact([&]() -> Status {
    // After reset_halt() the next one is looked for anew anyway.
    if (*row.nonce + 1 == next) LOCKSTEP_TRY(tables_.set_next_nonce(*row.nonce), "refuse");
    row.nonce.reset();
    LOCKSTEP_TRY(end(row, OutboxState::kFailed, why), "refuse");
    CRASH_POINT("outbox.refuse");
    return {};
  });
}

// Whatever the node says: the bytes may be out, and the chain alone knows what becomes of them.
Status Outbox::send(OutboxRow& row) {
  CHECK(!row.attempts.empty(), "nothing was signed");
  CRASH_POINT("outbox.send");
  const Result<BroadcastOutcome> outcome = chain_->broadcast(row.attempts.back().bytes);
  CRASH_POINT("outbox.sent");
  if (!outcome.ok()) {
    alarm(row.intent.key, outcome.error().message);
    return {};
  }
  using Kind = BroadcastOutcome::Kind;
  const Kind kind = outcome.value().kind;
  const bool is_good = kind == Kind::kAccepted || kind == Kind::kNonceTooLow;
  row.reason = is_good ? "" : outcome.value().message;
  if (is_good) {
    calm(row.intent.key);
  } else {
    alarm(row.intent.key, row.reason);
  }
  row.state = OutboxState::kSent;
  row.sent_ms = clock_->unix_ms();
  const Status committed = transact([&]() -> Status {
    LOCKSTEP_TRY(tables_.update(row), "send");
    CRASH_POINT("outbox.mark_sent");
    return {};
  });
  LOCKSTEP_TRY(committed, "send");
  CRASH_POINT("outbox.marked_sent");
  return {};
}

Status Outbox::replace(OutboxRow& row, const Sight& sight) {
  const Uint256 cap = fee_cap(row, row.gas_limit);
  const std::optional<GasFees> fees = replacement_fees(row.fees, sight.suggested, cap);
  const bool is_stale = clock_->unix_ms() - row.sent_ms >= config_.policy.resend_ms;
  if (!fees) {
    if (is_stale) LOCKSTEP_TRY(send(row), "replace");
    alarm(row.intent.key, "waits at the ceiling of " + cap.decimal() + " wei a gas");
    return {};
  }
  CRASH_POINT("outbox.replace");
  OutboxRow higher = row;
  higher.fees = *fees;
  LOCKSTEP_TRY(sign_and_store(higher), "replace");
  const bool is_signed = higher.attempts.size() > row.attempts.size();
  if (is_signed) row = std::move(higher);
  return is_signed || is_stale ? send(row) : Status();
}

Status Outbox::include(OutboxRow& row, const TransactionReceipt& receipt) {
  row.state = OutboxState::kIncluded;
  row.block = receipt.block;
  row.mined = receipt.transaction;
  row.reason.clear();
  calm(row.intent.key);
  const Status committed = transact([&]() -> Status {
    LOCKSTEP_TRY(tables_.update(row), "include");
    CRASH_POINT("outbox.include");
    return {};
  });
  LOCKSTEP_TRY(committed, "include");
  CRASH_POINT("outbox.included");
  return {};
}

Status Outbox::vanish(OutboxRow& row) {
  log_event(LogLevel::kWarning, "outbox_block_vanished",
            {{"key", row.intent.key}, {"block", row.block ? row.block->number : 0}});
  row.state = OutboxState::kSent;
  row.block.reset();
  row.mined = {};
  const Status committed = transact([&]() -> Status {
    LOCKSTEP_TRY(tables_.update(row), "vanish");
    CRASH_POINT("outbox.vanish");
    return {};
  });
  LOCKSTEP_TRY(committed, "vanish");
  CRASH_POINT("outbox.vanished");
  return send(row);
}

Status Outbox::finish(OutboxRow& row, const TransactionReceipt& receipt) {
  const Status committed = transact([&]() -> Status {
    LOCKSTEP_TRY(take_cost(row, receipt), "finish");
    LOCKSTEP_TRY(end(row, OutboxState::kFinal, ""), "finish");
    CRASH_POINT("outbox.finish");
    return {};
  });
  LOCKSTEP_TRY(committed, "finish");
  CRASH_POINT("outbox.finished");
  return {};
}

// A reverted transaction has done nothing but cost. Its reason is that of the same call behind its
// block.
Status Outbox::examine(OutboxRow& row, const TransactionReceipt& receipt) {
  LOCKSTEP_TRY_ASSIGN(const CallOutcome outcome,
                      chain_->call(call_of(row, config_.owner.sender), receipt.block), "examine");
  const Revert revert = config_.rules.table.decode(outcome.data);
  const bool ran_out = receipt.gas_used >= row.gas_limit;
  // It would work now: something else in its block was in the way.
  const RevertVerdict verdict =
      !outcome.is_reverted || ran_out ? RevertVerdict::kRetry : config_.rules.verdict(revert);
  const std::string why = ran_out ? "ran out of gas" : revert.text;
  const Status committed = transact([&]() -> Status {
    LOCKSTEP_TRY(take_cost(row, receipt), "examine");
    if (verdict == RevertVerdict::kRetry) {
      LOCKSTEP_TRY(try_again(row, why), "examine");
    } else {
      const bool is_done = verdict == RevertVerdict::kDone;
      if (!is_done) alarm(row.intent.key, why);
      const auto state = is_done ? OutboxState::kFinal : OutboxState::kFailed;
      LOCKSTEP_TRY(end(row, state, why), "examine");
    }
    CRASH_POINT("outbox.examine");
    return {};
  });
  LOCKSTEP_TRY(committed, "examine");
  CRASH_POINT("outbox.examined");
  return {};
}

// The nonce is gone for good, so that nothing signed for it can ever be mined.
Status Outbox::lose_to_stranger(OutboxRow& row) {
  const std::string nonce = "nonce " + std::to_string(row.nonce.value_or(0));
  const std::string what =
      "was used by another process with the key of " + config_.owner.sender.text();
  alarm(nonce, what);  // Not the write's: it stays when that goes on.
  return transact([&]() -> Status {
    LOCKSTEP_TRY(try_again(row, nonce + " " + what), "stranger");
    CRASH_POINT("outbox.stranger");
    return {};
  });
}

}  // namespace lockstep
