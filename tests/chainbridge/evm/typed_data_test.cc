#include "chainbridge/evm/typed_data.h"

#include <gtest/gtest.h>

#include "chainbridge/evm/secp256k1.h"

namespace lockstep {
namespace {

// The example of EIP-712: Cow writes to Bob.
Digest mail_hash() {
  static constexpr std::string_view kPerson = "Person(string name,address wallet)";
  const auto person = [](std::string_view name, std::string_view wallet) {
    return TypedStruct(kPerson)
        .add_hashed(as_bytes(name))
        .add(Address::of_text(wallet).value())
        .digest();
  };
  return TypedStruct(
             "Mail(Person from,Person to,string contents)Person(string name,address wallet)")
      .add(person("Cow", "0xCD2a3d9F938E13CD947Ec05AbC7FE734Df8DD826"))
      .add(person("Bob", "0xbBbBBBBbbBBBbbbBbbBbbbbBBbBbbbbBbBbbBBbB"))
      .add_hashed(as_bytes("Hello, Bob!"))
      .digest();
}

TEST(TypedData, HasTheHashesOfEip712sExample) {
  const Digest separator = domain_separator(
      {.name = "Ether Mail",
       .version = "1",
       .chain_id = 1,
       .contract = Address::of_text("0xCcCCccccCCCCcCCCCCCcCcCccCcCCCcCcccccccC").value()});
  EXPECT_EQ(separator.hex(), "f2cee375fa42b42143804025fc449deafd50cc031ca257e0b194a650a912090f");
  EXPECT_EQ(mail_hash().hex(), "c52c0ee5d84264471806290a3f2c4cecfc5490626bf912d01f240d7a274b371e");
  const Digest digest = typed_data_digest(separator, mail_hash());
  EXPECT_EQ(digest.hex(), "be609aee343fb3c4b28e1df9e632fca64fcfaede20f02e86244efddf30957bd2");
  EXPECT_EQ(to_hex(sign_digest(keccak256("cow").bytes, digest).value().bytes()),
            "4355c47d63924e8a72e509b65029052eb6c299d53a04e167c5775fd466751c9d"
            "07299936d304c153f6443dfa05f40ff007d72911b6f72307f996231605b91562"
            "1c");
}

TEST(TypedData, SeparatesChainsAndContracts) {
  const Digest one = domain_separator({.chain_id = 1, .contract = {}});
  EXPECT_NE(one, domain_separator({.chain_id = 2, .contract = {}}));
  Address other;
  other.bytes[0] = 1;
  EXPECT_NE(one, domain_separator({.chain_id = 1, .contract = other}));
}

TEST(TypedData, CoversEveryFieldOfAReceipt) {
  const Receipt receipt{keccak256("a"), keccak256("b"), keccak256("c"), {1, 2}};
  const auto differs = [&](auto change) {
    Receipt changed = receipt;
    change(changed);
    return receipt_hash(changed) != receipt_hash(receipt);
  };
  EXPECT_TRUE(differs([](Receipt& r) { r.job_id = {}; }));
  EXPECT_TRUE(differs([](Receipt& r) { r.result_hash = {}; }));
  EXPECT_TRUE(differs([](Receipt& r) { r.output_hash = {}; }));
  EXPECT_TRUE(differs([](Receipt& r) { r.price.high = 0; }));
  EXPECT_TRUE(differs([](Receipt& r) { r.price.low = 0; }));
  EXPECT_NE(login_hash({keccak256("a"), 1}), login_hash({keccak256("a"), 2}));
}

// Source: web3.js documentation, eth.accounts.sign.
TEST(PersonalMessage, HasTheSignatureOfWeb3) {
  const Digest digest = personal_message_digest(as_bytes("Some data"));
  EXPECT_EQ(digest.hex(), "1da44b586eb0729ff70a73c326926f6ed5a25f5b056e7f47fbc6e58d86871655");
  const Digest key =
      Digest::from_hex("4c0883a69102937d6231471b5dbb6204fe5129617082792ae468d01a3f362318").value();
  EXPECT_EQ(to_hex(sign_digest(key.bytes, digest).value().bytes()),
            "b91467e570a6466aa9e9876cbcd013baba02900b8979d43fe208a4a4f339f5fd"
            "6007e74cd82e037b800186422fc2da167c747ef045e5d18a5f5d4300f8e1a029"
            "1c");
}

}  // namespace
}  // namespace lockstep
