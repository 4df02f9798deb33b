// One write to a chain, from the intent to the final block.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/bytes.h"
#include "base/digest.h"
#include "chainbridge/evm/address.h"
#include "chainbridge/evm/json_rpc.h"
#include "chainbridge/evm/transaction.h"

namespace lockstep {

// intent -> signed -> sent -> included -> final, or failed. Numbers are on disk: they never change.
enum class OutboxState : std::uint8_t {
  kIntent = 0,    // To be done; has a nonce while it is being signed.
  kSigned = 1,    // Bytes and nonce are on disk; may have been broadcast.
  kSent = 2,      // Was broadcast.
  kIncluded = 3,  // In a block that may still vanish.
  kFinal = 4,     // Done, in a block that cannot; or done by someone else.
  kFailed = 5,    // Given up, with the reason.
};

// "intent", "signed", ...
std::string_view outbox_state_name(OutboxState state);

struct OutboxIntent {
  std::string key;  // Names the write: the same key again is the same write.
  Address to;
  Uint256 value;  // Wei.
  Bytes data;
  Uint256 fee_ceiling;  // Wei for gas, all tries together; the value apart.

  bool operator==(const OutboxIntent&) const = default;
};

// Signed bytes. All attempts of a row that count have its nonce: at most one of them is ever mined.
struct OutboxAttempt {
  Digest hash;
  Bytes bytes;
  GasFees fees;
  std::int64_t signed_ms = 0;

  bool operator==(const OutboxAttempt&) const = default;
};

struct OutboxRow {
  std::int64_t id = 0;
  OutboxIntent intent;
  OutboxState state = OutboxState::kIntent;
  std::optional<std::uint64_t> nonce;
  std::uint64_t gas_limit = 0;
  GasFees fees;                         // Of the attempt that is, or is to be, signed last.
  std::vector<OutboxAttempt> attempts;  // Of this nonce, the oldest first.
  std::optional<BlockId> block;         // kIncluded and kFinal.
  Digest mined;                         // Hash of the attempt in that block.
  Uint256 paid;                         // Wei for gas that final blocks have taken.
  std::uint32_t tries = 0;              // Transactions that were reverted, or lost to a stranger.
  std::int64_t sent_ms = 0;             // Last broadcast; 0: none.
  std::int64_t not_before_ms = 0;       // Of the next try.
  std::string reason;                   // Why it waits, failed, or was done already.

  bool operator==(const OutboxRow&) const = default;
};

}  // namespace lockstep
