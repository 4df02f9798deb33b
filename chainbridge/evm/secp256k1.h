// ECDSA over secp256k1 with a recoverable signer: Ethereum's signatures. Deterministic (RFC 6979),
// s always in the lower half (EIP-2).
#pragma once

#include <cstdint>
#include <span>

#include "base/digest.h"
#include "base/result.h"
#include "chainbridge/evm/address.h"

namespace lockstep {

using SecretKeyView = std::span<const std::uint8_t, 32>;

struct Signature {
  Digest r;
  Digest s;
  std::uint8_t y_parity = 0;  // 0 or 1.

  bool operator==(const Signature&) const = default;
  // r, s and 27 + y_parity: what contracts and wallets pass around.
  Bytes bytes() const;
  // kInvalidArgument unless 65 bytes with a last one of 27 or 28.
  static Result<Signature> of_bytes(ByteView bytes);
};

// The account of a key. kInvalidArgument: it is 0, or not below the order of the group.
Result<Address> address_of_key(SecretKeyView key);

// The same key and digest always give the same signature. kInvalidArgument as above.
Result<Signature> sign_digest(SecretKeyView key, const Digest& digest);

// The account whose key made the signature. kInvalidArgument: none, or s in the upper half (a
// second spelling of the same signature).
Result<Address> recover_signer(const Digest& digest, const Signature& signature);

}  // namespace lockstep
