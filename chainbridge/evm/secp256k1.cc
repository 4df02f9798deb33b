#include "chainbridge/evm/secp256k1.h"

#include <secp256k1_recovery.h>

#include <algorithm>
#include <memory>

#include "base/random.h"

namespace lockstep {
namespace {

constexpr std::size_t kSignatureBytes = 65;
constexpr std::uint8_t kFirstV = 27;

struct Destroy {
  void operator()(secp256k1_context* context) const { secp256k1_context_destroy(context); }
};

// One for the process: blinded once, and not changed afterwards, so that threads may share it.
const secp256k1_context* context() {
  static const auto made = [] {
    secp256k1_context* fresh =
        secp256k1_context_create(SECP256K1_CONTEXT_SIGN | SECP256K1_CONTEXT_VERIFY);
    std::array<std::uint8_t, 32> seed{};
    system_random().fill(seed);
    CHECK(secp256k1_context_randomize(fresh, seed.data()) == 1, "secp256k1 cannot be blinded");
    return std::unique_ptr<secp256k1_context, Destroy>(fresh);
  }();
  return made.get();
}

Error no_key() {
  return {ErrorCode::kInvalidArgument, "no secret key: it is 0 or not below the group's order"};
}

Address address_of(const secp256k1_pubkey& key) {
  std::array<std::uint8_t, kSignatureBytes> point{};
  std::size_t size = point.size();
  (void)secp256k1_ec_pubkey_serialize(context(), point.data(), &size, &key,
                                      SECP256K1_EC_UNCOMPRESSED);
  const Digest hash = keccak256(ByteView(point).subspan(1));
  Address address;
  std::ranges::copy(hash.view().last(address.bytes.size()), address.bytes.begin());
  return address;
}

}  // namespace

Bytes Signature::bytes() const {
  Bytes out(r.bytes.begin(), r.bytes.end());
  out.insert(out.end(), s.bytes.begin(), s.bytes.end());
  out.push_back(static_cast<std::uint8_t>(kFirstV + y_parity));
  return out;
}

Result<Signature> Signature::of_bytes(ByteView bytes) {
  if (bytes.size() != kSignatureBytes || bytes[64] < kFirstV || bytes[64] > kFirstV + 1) {
    return Error{ErrorCode::kInvalidArgument,
                 "expected a signature of 65 bytes that ends with 27 or 28"};
  }
  Signature signature;
  std::ranges::copy(bytes.first(32), signature.r.bytes.begin());
  std::ranges::copy(bytes.subspan(32, 32), signature.s.bytes.begin());
  signature.y_parity = static_cast<std::uint8_t>(bytes[64] - kFirstV);
  return signature;
}

Result<Address> address_of_key(SecretKeyView key) {
  secp256k1_pubkey public_key;
  if (secp256k1_ec_pubkey_create(context(), &public_key, key.data()) != 1) return no_key();
  return address_of(public_key);
}

Result<Signature> sign_digest(SecretKeyView key, const Digest& digest) {
  secp256k1_ecdsa_recoverable_signature made;
  if (secp256k1_ecdsa_sign_recoverable(context(), &made, digest.bytes.data(), key.data(), nullptr,
                                       nullptr) != 1) {
    return no_key();
  }
  std::array<std::uint8_t, 64> compact{};
  int recovery = 0;
  (void)secp256k1_ecdsa_recoverable_signature_serialize_compact(context(), compact.data(),
                                                                &recovery, &made);
  Signature signature;
  std::copy_n(compact.begin(), 32, signature.r.bytes.begin());
  std::copy_n(compact.begin() + 32, 32, signature.s.bytes.begin());
  // 2 and 3 say that r overflowed the group's order: one in 2^127.
  CHECK(recovery == 0 || recovery == 1, "a signature that Ethereum cannot express");
  signature.y_parity = static_cast<std::uint8_t>(recovery);
  return signature;
}

Result<Address> recover_signer(const Digest& digest, const Signature& signature) {
  const Error refused{ErrorCode::kInvalidArgument, "no signature of this text by any key"};
  std::array<std::uint8_t, 64> compact{};
  std::ranges::copy(signature.r.bytes, compact.begin());
  std::ranges::copy(signature.s.bytes, compact.begin() + 32);
  secp256k1_ecdsa_recoverable_signature parsed;
  secp256k1_ecdsa_signature plain;
  secp256k1_pubkey key;
  if (signature.y_parity > 1 ||
      secp256k1_ecdsa_recoverable_signature_parse_compact(context(), &parsed, compact.data(),
                                                          signature.y_parity) != 1 ||
      secp256k1_ecdsa_recoverable_signature_convert(context(), &plain, &parsed) != 1) {
    return refused;
  }
  // 1: it was not normalized, s was in the upper half.
  if (secp256k1_ecdsa_signature_normalize(context(), nullptr, &plain) == 1) return refused;
  if (secp256k1_ecdsa_recover(context(), &key, &parsed, digest.bytes.data()) != 1) return refused;
  return address_of(key);
}

}  // namespace lockstep
