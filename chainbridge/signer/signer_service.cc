#include "chainbridge/signer/signer_service.h"

#include <cstdlib>

#include "base/crash_point.h"
#include "base/log.h"
#include "chainbridge/evm/typed_data.h"

namespace lockstep {
namespace {

constexpr std::int64_t kDaySeconds = 86'400;
constexpr int kIoStatus = 74;

Digest digest_in_domain(std::uint64_t chain_id, const Address& contract, const Digest& hash) {
  return typed_data_digest(domain_separator({.chain_id = chain_id, .contract = contract}), hash);
}

}  // namespace

Bytes SignerService::answer(ByteView request) {
  const Result<Bytes> answer = decide(request);
  CRASH_POINT("signer.signed");
  if (!answer.ok()) {
    log_event(LogLevel::kWarning, "signer_refused", {{"why", answer.error().message}});
  }
  return encode_sign_answer(answer);
}

Result<Bytes> SignerService::decide(ByteView bytes) {
  LOCKSTEP_TRY_ASSIGN(const SignRequest request, decode_sign_request(bytes), "request");
  CRASH_POINT("signer.request");
  LOCKSTEP_TRY_ASSIGN(const SignerCommitment commitment, check_request(policy_, request), "policy");
  const auto* spends = std::get_if<TransactionRequest>(&request);
  const Status noted = store_.commit(commitment, spends ? &spends->transaction : nullptr,
                                     clock_->unix_seconds() / kDaySeconds);
  // What is on disk is unknown after that: the next start reads it.
  if (!noted.ok() && noted.error().code == ErrorCode::kIo) {
    log_event(LogLevel::kError, "signer_disk_failed", {{"why", noted.error().message}});
    std::_Exit(kIoStatus);
  }
  LOCKSTEP_TRY(noted, "commitment");
  CRASH_POINT("signer.recorded");
  return sign(request);
}

Result<Bytes> SignerService::sign(const SignRequest& request) {
  if (std::holds_alternative<AddressRequest>(request)) {
    return Bytes(vault_.address().bytes.begin(), vault_.address().bytes.end());
  }
  if (const auto* asked = std::get_if<TransactionRequest>(&request)) {
    const Transaction& transaction = asked->transaction;
    LOCKSTEP_TRY_ASSIGN(const Signature signature, vault_.sign(signing_digest(transaction)), "key");
    log_event(LogLevel::kInfo, "signed_transaction",
              {{"chain", transaction.chain_id},
               {"nonce", transaction.nonce},
               {"to", transaction.to->text()},
               {"value", transaction.value.decimal()}});
    return encode_signed({transaction, signature});
  }
  Digest digest;
  if (const auto* asked = std::get_if<HeaderRequest>(&request)) {
    const RollupHeader& header = asked->header;
    LOCKSTEP_TRY_ASSIGN(const Address contract, Address::of_word(header.contract), "header");
    digest = digest_in_domain(header.chain_id, contract, header_struct_hash(header));
    log_event(LogLevel::kInfo, "signed_header",
              {{"chain", header.chain_id}, {"sequence", header.sequence}});
  } else {
    const auto& receipt = std::get<ReceiptRequest>(request);
    digest = digest_in_domain(receipt.chain_id, receipt.escrow, receipt_hash(receipt.receipt));
  }
  LOCKSTEP_TRY_ASSIGN(const Signature signature, vault_.sign(digest), "key");
  return signature.bytes();
}

}  // namespace lockstep
