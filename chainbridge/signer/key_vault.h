// The signer's key in memory of its own: locked, in no core dump, between guard pages, and not even
// readable except while it signs. Wiped at the end.
#pragma once

#include <memory>
#include <string>
#include <string_view>

#include "base/digest.h"
#include "base/result.h"
#include "chainbridge/evm/address.h"
#include "chainbridge/evm/keystore.h"
#include "chainbridge/evm/secp256k1.h"

namespace lockstep {

// Nobody can attach to this process or read its memory, and it leaves no core. For the whole
// process; before any secret is read.
Status harden_process();

class KeyVault {
 public:
  // Decrypts the keystore into locked memory. kExhausted: no memory may be locked (the message says
  // which limit); else as open_keystore.
  static Result<KeyVault> open(const Keystore& keystore, std::string_view passphrase);

  const Address& address() const { return address_; }
  Result<Signature> sign(const Digest& digest) const;

 private:
  struct Wipe {
    void operator()(std::uint8_t* key) const;
  };
  explicit KeyVault(std::unique_ptr<std::uint8_t, Wipe> key) : key_(std::move(key)) {}

  std::unique_ptr<std::uint8_t, Wipe> key_;  // 32 bytes.
  Address address_;
};

// Wipes a text that held a secret, its spare bytes too.
void wipe(std::string& text);

}  // namespace lockstep
