// What the outbox needs of a chain. Every answer about what has happened is one that the configured
// endpoints agree on; kUnavailable until they do.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "base/result.h"
#include "chainbridge/evm/json_rpc.h"
#include "chainbridge/evm/transaction.h"

namespace lockstep {

struct ChainHeads {
  BlockHeader latest;
  BlockHeader final;  // What no reorganization can undo any more.
};

struct AccountState {
  std::uint64_t nonce = 0;        // Transactions of the account up to the latest block.
  std::uint64_t final_nonce = 0;  // Up to the final one.
  Uint256 balance;                // At the latest block; wei.
};

// A transaction without its nonce and fees.
struct ChainCall {
  Address from;
  Address to;
  Uint256 value;
  Bytes data;

  bool operator==(const ChainCall&) const = default;
};

struct CallOutcome {
  bool is_reverted = false;
  Bytes data;             // What it returns, or why it was reverted.
  std::uint64_t gas = 0;  // What it would take; 0 where it is reverted.
};

// What a node said to signed bytes. A hint alone: the chain says what has become of them.
struct BroadcastOutcome {
  enum class Kind {
    kAccepted,      // Or known already.
    kNonceTooLow,   // Mined: this one or another.
    kUnderpriced,   // The fees are too low, for a replacement or at all.
    kInsufficient,  // The account cannot pay.
    kRefused,
  };
  Kind kind = Kind::kAccepted;
  std::string message;
};

class OutboxChain {
 public:
  virtual ~OutboxChain() = default;

  virtual Result<ChainHeads> heads() = 0;
  // The block that has this number now. kNotFound: none yet.
  virtual Result<BlockHeader> header(std::uint64_t number) = 0;
  virtual Result<AccountState> account(const Address& address, const ChainHeads& heads) = 0;
  // What a transaction would pay to come into one of the next blocks.
  virtual Result<GasFees> suggested_fees(const ChainHeads& heads) = 0;
  // Nothing: no block has it.
  virtual Result<std::optional<TransactionReceipt>> receipt(const Digest& transaction) = 0;
  // What the call would do behind this block.
  virtual Result<CallOutcome> call(const ChainCall& call, const BlockId& block) = 0;
  virtual Result<BroadcastOutcome> broadcast(ByteView signed_bytes) = 0;
};

}  // namespace lockstep
