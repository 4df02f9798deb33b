// What the signer is asked, and what it answers: one message each way, behind its length (u32,
// little-endian). Pure; the signer trusts nothing of it.
//
//   request: u8 version (1), u8 kind, fields; see the README of this folder
//   answer:  u8 0 and the bytes asked for, or u8 1 + error code and a text
#pragma once

#include <cstdint>
#include <variant>

#include "base/bytes.h"
#include "base/result.h"
#include "chainbridge/evm/address.h"
#include "chainbridge/evm/transaction.h"
#include "chainbridge/receipt.h"
#include "chainbridge/rollup.h"

namespace lockstep {

inline constexpr std::size_t kMaxSignRequestBytes = kMaxTransactionBytes + 16;
inline constexpr std::size_t kMaxSignAnswerBytes = kMaxTransactionBytes + 256;

// Which account signs? Answered by 20 bytes.
struct AddressRequest {
  bool operator==(const AddressRequest&) const = default;
};

// Answered by the signed bytes.
struct TransactionRequest {
  Transaction transaction;

  bool operator==(const TransactionRequest&) const = default;
};

// A rollup's header as typed data; its contract is the domain's. Answered by 65 bytes.
struct HeaderRequest {
  RollupHeader header;

  bool operator==(const HeaderRequest&) const = default;
};

// A receipt as typed data of the escrow. Answered by 65 bytes.
struct ReceiptRequest {
  std::uint64_t chain_id = 0;
  Address escrow;
  Receipt receipt;

  bool operator==(const ReceiptRequest&) const = default;
};

using SignRequest = std::variant<AddressRequest, TransactionRequest, HeaderRequest, ReceiptRequest>;

Bytes encode_sign_request(const SignRequest& request);
// kCorrupt: encode_sign_request would not have written it.
Result<SignRequest> decode_sign_request(ByteView bytes);

Bytes encode_sign_answer(const Result<Bytes>& answer);
// The answer, or the signer's error; kCorrupt: it is none.
Result<Bytes> decode_sign_answer(ByteView bytes);

}  // namespace lockstep
