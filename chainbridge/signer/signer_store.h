// What the signer must never forget: which header it has signed at each sequence, and what it has
// spent. Durable before a signature leaves. Not thread-safe.
#pragma once

#include <cstdint>
#include <string>

#include "base/database.h"
#include "base/result.h"
#include "chainbridge/signer/sign_request.h"
#include "chainbridge/signer/signer_policy.h"

namespace lockstep {

class SignerStore {
 public:
  // The file is made where there is none, for its owner alone. kUnavailable: another signer has it.
  static Result<SignerStore> open(const std::string& path);

  // Notes what a request commits to; returns when it is on disk. kPermission: another header was
  // signed at that sequence; kExhausted: the money of `day` (Unix days) is spent; nothing has
  // changed then. The same again is free. `transaction` is what spends, or null; of those with one
  // nonce the dearest counts, since at most one is ever mined.
  Status commit(const SignerCommitment& commitment, const Transaction* transaction,
                std::int64_t day);

 private:
  SignerStore(Database database) : database_(std::move(database)) {}
  Status prepare();
  Status note_header(const RollupHeader& header);
  Status note_spend(const SignerCommitment& commitment, const Transaction& transaction,
                    std::int64_t day);
  Result<Uint256> read_wei(Statement& statement);

  Database database_;
  Statement find_header_, insert_header_, read_nonce_, write_nonce_, read_day_, write_day_;
};

}  // namespace lockstep
