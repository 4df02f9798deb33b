// What the outbox does next with a row: a pure function of the row and of what the chain shows. It
// knows no clock, network or disk.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "chainbridge/evm/revert.h"
#include "chainbridge/outbox/outbox_row.h"

namespace lockstep {

struct OutboxPolicy {
  std::int64_t resend_ms = 30'000;    // The same bytes again.
  std::int64_t replace_ms = 120'000;  // Higher fees, after the last attempt was signed.
  std::int64_t retry_ms = 15'000;     // After a revert; doubles with each try.
  std::uint32_t max_tries = 5;        // Mined reverts, and nonces lost to a stranger.
  std::uint32_t max_attempts = 16;    // Of one nonce.
  std::uint32_t max_in_flight = 256;  // Rows with a nonce.
  std::uint32_t max_unmined = 16;     // Of these, in no block yet: what the pool of a node keeps.
  std::uint32_t gas_headroom_percent = 25;
  Uint256 max_fee_per_gas = 200'000'000'000;             // Wei.
  Uint256 max_fees_per_day = 1'000'000'000'000'000'000;  // Wei; a UTC day.
};

// What the chain shows of a row's nonce.
struct OutboxSighting {
  bool is_nonce_used = false;                 // At the latest block; by this row or by a stranger.
  bool is_nonce_used_final = false;           // At the final block.
  std::optional<TransactionReceipt> receipt;  // Of any attempt.
  bool is_receipt_final = false;              // Its block is.
};

struct OutboxMoment {
  std::int64_t now_ms = 0;
  bool is_lowest_nonce = false;  // Nothing before it waits to be mined.
};

enum class OutboxAction {
  kWait,
  kSign,      // Look at what the call would do, reserve a nonce, sign, store, send.
  kSend,      // Broadcast the bytes that are stored, all attempts' last.
  kReplace,   // Sign again with higher fees.
  kInclude,   // Note the block.
  kVanish,    // The block is gone: back to sent, broadcast at once.
  kFinish,    // It is done.
  kExamine,   // Final and reverted: find out why.
  kStranger,  // Another transaction has used the nonce for good: start again.
};

std::string_view outbox_action_name(OutboxAction action);

OutboxAction next_action(const OutboxRow& row, const OutboxSighting& sighting,
                         const OutboxMoment& moment, const OutboxPolicy& policy);

// What a revert means.
enum class RevertVerdict { kDone, kRetry, kGiveUp };

// By the error's name; an error that is in neither list is given up on.
struct RevertRules {
  RevertTable table;
  std::vector<std::string> done;   // "already recorded".
  std::vector<std::string> retry;  // Time will help.

  RevertVerdict verdict(const Revert& revert) const;
};

// When a row that was tried `tries` times may be tried again.
std::int64_t next_try_ms(std::int64_t now_ms, std::uint32_t tries, const OutboxPolicy& policy);

}  // namespace lockstep
