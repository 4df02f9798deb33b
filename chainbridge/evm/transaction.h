// Transactions with a base fee (EIP-1559, type 2): their bytes, signatures and hashes. No access
// lists: nothing here needs them.
#pragma once

#include <cstdint>
#include <optional>

#include "base/bytes.h"
#include "base/digest.h"
#include "base/result.h"
#include "chainbridge/evm/address.h"
#include "chainbridge/evm/secp256k1.h"
#include "chainbridge/evm/uint256.h"

namespace lockstep {

// What one gas may cost, in wei.
struct GasFees {
  Uint256 max_fee;       // Base fee and priority fee together, at most.
  Uint256 max_priority;  // What the block's maker gets, at most; <= max_fee.

  bool operator==(const GasFees&) const = default;
};

struct Transaction {
  std::uint64_t chain_id = 0;
  std::uint64_t nonce = 0;
  GasFees fees;
  std::uint64_t gas_limit = 0;
  std::optional<Address> to;  // None: creates a contract.
  Uint256 value;              // Wei.
  Bytes data;

  bool operator==(const Transaction&) const = default;
};

inline constexpr std::size_t kMaxTransactionBytes = 128 << 10;  // What nodes relay.

// 0x02 and the list of fields, without a signature; and back. kCorrupt: not these bytes, an access
// list, more than kMaxTransactionBytes.
Bytes encode_unsigned(const Transaction& transaction);
Result<Transaction> decode_unsigned(ByteView bytes);

// What is signed: keccak256 of encode_unsigned.
Digest signing_digest(const Transaction& transaction);

struct SignedTransaction {
  Transaction transaction;
  Signature signature;

  bool operator==(const SignedTransaction&) const = default;
};

// What is broadcast. Its keccak256 is the transaction's hash.
Bytes encode_signed(const SignedTransaction& signed_transaction);
Result<SignedTransaction> decode_signed(ByteView bytes);

// Who sent it. kInvalidArgument: nobody, the signature is none.
Result<Address> sender_of(const SignedTransaction& signed_transaction);

}  // namespace lockstep
