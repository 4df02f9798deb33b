#include "chainbridge/evm/transaction.h"

#include <gtest/gtest.h>

#include "chainbridge/evm/rlp.h"

namespace lockstep {
namespace {

Transaction example() {
  Transaction t;
  t.chain_id = 31337;
  t.nonce = 7;
  t.fees = {.max_fee = 3'000'000'000, .max_priority = 1'000'000'000};
  t.gas_limit = 100'000;
  t.to = Address::of_text("0x5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAed").value();
  t.value = Uint256::of_decimal("1000000000000000000").value();
  t.data = {1, 2, 3};
  return t;
}

SignedTransaction signed_example() {
  const Digest key = keccak256("cow");
  return {example(), sign_digest(key.bytes, signing_digest(example())).value()};
}

TEST(TransactionEncode, ReadsBackAsItWas) {
  EXPECT_EQ(decode_unsigned(encode_unsigned(example())).value(), example());
  Transaction creation = example();
  creation.to.reset();
  creation.value = 0;
  creation.nonce = 0;
  EXPECT_EQ(decode_unsigned(encode_unsigned(creation)).value(), creation);
  EXPECT_EQ(decode_signed(encode_signed(signed_example())).value(), signed_example());
}

TEST(TransactionSender, IsTheKeysAccount) {
  EXPECT_EQ(sender_of(signed_example()).value().text(),
            "0xCD2a3d9F938E13CD947Ec05AbC7FE734Df8DD826");
  SignedTransaction changed = signed_example();
  changed.transaction.nonce += 1;
  EXPECT_NE(sender_of(changed).value(), sender_of(signed_example()).value());
}

TEST(TransactionDecode, RefusesOtherTypesFieldsAndEnds) {
  const Bytes bytes = encode_signed(signed_example());
  EXPECT_FALSE(decode_unsigned(bytes).ok()) << "three fields too many";
  EXPECT_FALSE(decode_signed(encode_unsigned(example())).ok()) << "three fields too few";
  for (std::size_t size = 0; size < bytes.size(); ++size) {
    EXPECT_FALSE(decode_signed(ByteView(bytes).first(size)).ok()) << size;
  }
  Bytes other = bytes;
  other[0] = 1;
  EXPECT_FALSE(decode_signed(other).ok());
  EXPECT_FALSE(decode_signed({}).ok());
  Transaction large = example();
  large.data.resize(kMaxTransactionBytes);
  EXPECT_FALSE(decode_unsigned(encode_unsigned(large)).ok());
}

// Any flipped bit is refused or gives another transaction with the flipped bytes.
TEST(TransactionDecode, AcceptsOneSpelling) {
  Bytes bytes = encode_signed(signed_example());
  for (std::size_t bit = 0; bit < 8 * bytes.size(); ++bit) {
    bytes[bit / 8] ^= static_cast<std::uint8_t>(1 << bit % 8);
    const auto decoded = decode_signed(bytes);
    if (decoded.ok()) {
      EXPECT_EQ(encode_signed(decoded.value()), bytes) << bit;
    }
    bytes[bit / 8] ^= static_cast<std::uint8_t>(1 << bit % 8);
  }
}

TEST(TransactionDecode, RefusesAnAccessList) {
  Bytes fields;
  for (int i = 0; i < 5; ++i) append_rlp_integer(fields, 1);
  append_rlp_bytes(fields, Bytes(20, 1));
  append_rlp_integer(fields, 0);
  append_rlp_bytes(fields, {});
  Bytes with_list = fields;
  append_rlp_list(fields, {});
  append_rlp_list(with_list, Bytes{0xC0});
  for (const auto& [payload, is_accepted] : {std::pair{fields, true}, {with_list, false}}) {
    Bytes bytes = {2};
    append_rlp_list(bytes, payload);
    EXPECT_EQ(decode_unsigned(bytes).ok(), is_accepted);
  }
}

}  // namespace
}  // namespace lockstep
