// The signer's Unix socket, both ends. A connection carries one request and its answer; only this
// user is heard.
#pragma once

#include <atomic>
#include <functional>
#include <string>

#include "base/bytes.h"
#include "base/result.h"
#include "chainbridge/outbox/outbox.h"
#include "chainbridge/signer/sign_request.h"

namespace lockstep {

// Listens at `path` (mode 0600) and answers one request after the other until `stop`. Blocks.
// Requires: the folder is its owner's alone.
Status serve_signer(const std::string& path, const std::function<Bytes(ByteView)>& answer,
                    const std::atomic<bool>& stop);

// Asks the signer at `path`; blocks at most ten seconds. kUnavailable, kTimeout: no answer, and the
// same request may be sent again; else the signer's own error.
Result<Bytes> ask_signer(const std::string& path, const SignRequest& request);

class SignerClient final : public TransactionSigner {
 public:
  explicit SignerClient(std::string path) : path_(std::move(path)) {}

  Result<Bytes> sign(const Transaction& transaction) override;
  Result<Address> address();
  Result<Bytes> sign_header(const RollupHeader& header);
  Result<Bytes> sign_receipt(const ReceiptRequest& request);

 private:
  std::string path_;
};

}  // namespace lockstep
