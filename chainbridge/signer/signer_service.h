// The signer itself: a request in, a signature or a refusal out. One thread.
#pragma once

#include "base/clock.h"
#include "base/result.h"
#include "chainbridge/signer/key_vault.h"
#include "chainbridge/signer/sign_request.h"
#include "chainbridge/signer/signer_policy.h"
#include "chainbridge/signer/signer_store.h"

namespace lockstep {

class SignerService {
 public:
  SignerService(KeyVault vault, SignerPolicy policy, SignerStore store, const Clock& clock)
      : vault_(std::move(vault)),
        policy_(std::move(policy)),
        store_(std::move(store)),
        clock_(&clock) {}

  const Address& address() const { return vault_.address(); }

  // What an encoded request is answered. Logs every refusal, and every signature.
  Bytes answer(ByteView request);

 private:
  Result<Bytes> decide(ByteView bytes);
  Result<Bytes> sign(const SignRequest& request);

  KeyVault vault_;
  SignerPolicy policy_;
  SignerStore store_;
  const Clock* clock_;
};

}  // namespace lockstep
