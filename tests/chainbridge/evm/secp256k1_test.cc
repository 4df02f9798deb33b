#include "chainbridge/evm/secp256k1.h"

#include <gtest/gtest.h>

namespace lockstep {
namespace {

Digest key_of(std::uint8_t last) {
  Digest key;
  key.bytes[31] = last;
  return key;
}

Digest order_minus(std::uint8_t less) {
  Digest order =
      Digest::from_hex("fffffffffffffffffffffffffffffffebaaedce6af48a03bbfd25e8cd0364141").value();
  order.bytes[31] = static_cast<std::uint8_t>(order.bytes[31] - less);
  return order;
}

// Well-known: the accounts of the keys 1 and 2, and of keccak256("cow") in EIP-712.
TEST(AddressOfKey, IsThatOfTheWellKnownKeys) {
  EXPECT_EQ(address_of_key(key_of(1).bytes).value().text(),
            "0x7E5F4552091A69125d5DfCb7b8C2659029395Bdf");
  EXPECT_EQ(address_of_key(key_of(2).bytes).value().text(),
            "0x2B5AD5c4795c026514f8317c7a215E218DcCD6cF");
  EXPECT_EQ(address_of_key(keccak256("cow").bytes).value().text(),
            "0xCD2a3d9F938E13CD947Ec05AbC7FE734Df8DD826");
}

TEST(AddressOfKey, RefusesZeroAndTheGroupsOrder) {
  EXPECT_FALSE(address_of_key(key_of(0).bytes).ok());
  EXPECT_FALSE(address_of_key(order_minus(0).bytes).ok());
  EXPECT_TRUE(address_of_key(order_minus(1).bytes).ok());
  EXPECT_FALSE(sign_digest(key_of(0).bytes, key_of(9)).ok());
}

TEST(RecoverSigner, GivesTheAccountThatSigned) {
  for (std::uint8_t i = 1; i < 40; ++i) {
    const Digest key = keccak256(std::string(1, static_cast<char>(i)));
    const Digest digest = keccak256(key.hex());
    const Signature signature = sign_digest(key.bytes, digest).value();
    EXPECT_EQ(recover_signer(digest, signature).value(), address_of_key(key.bytes).value());
    EXPECT_EQ(Signature::of_bytes(signature.bytes()).value(), signature);
    EXPECT_EQ(sign_digest(key.bytes, digest).value(), signature) << "signing is deterministic";
  }
}

TEST(RecoverSigner, RefusesTheSecondSpellingOfASignature) {
  const Digest digest = keccak256("text");
  Signature signature = sign_digest(key_of(1).bytes, digest).value();
  // order - s, and the other parity: valid for the curve, refused by EIP-2.
  const Digest order = order_minus(0);
  int borrow = 0;
  for (int i = 31; i >= 0; --i) {
    const auto at = static_cast<std::size_t>(i);
    const int difference = int{order.bytes[at]} - int{signature.s.bytes[at]} - borrow;
    borrow = difference < 0 ? 1 : 0;
    signature.s.bytes[at] = static_cast<std::uint8_t>(difference & 0xFF);
  }
  signature.y_parity ^= 1;
  EXPECT_FALSE(recover_signer(digest, signature).ok());
}

TEST(RecoverSigner, RefusesWhatIsNoSignature) {
  Signature signature = sign_digest(key_of(1).bytes, keccak256("text")).value();
  EXPECT_NE(recover_signer(keccak256("texT"), signature).value(),
            address_of_key(key_of(1).bytes).value());
  signature.y_parity = 2;
  EXPECT_FALSE(recover_signer(keccak256("text"), signature).ok());
  EXPECT_FALSE(recover_signer(keccak256("text"), Signature{}).ok());
  EXPECT_FALSE(Signature::of_bytes(Bytes(64, 1)).ok());
  EXPECT_FALSE(Signature::of_bytes(Bytes(65, 1)).ok());
}

}  // namespace
}  // namespace lockstep
