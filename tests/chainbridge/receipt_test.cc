#include "chainbridge/receipt.h"

#include <gtest/gtest.h>

namespace lockstep {
namespace {

Receipt sample() {
  Receipt receipt;
  receipt.job_id.bytes.fill(0x11);
  receipt.result_hash.bytes.fill(0x22);
  receipt.output_hash.bytes.fill(0x33);
  receipt.price = {.high = 0x0102030405060708, .low = 0x090A0B0C0D0E0F10};
  return receipt;
}

TEST(ReceiptBytes, AreFourWordsInOrder) {
  std::string expected;
  for (const char* digits : {"11", "22", "33"}) {
    for (int i = 0; i < 32; ++i) expected += digits;
  }
  expected +=
      "00000000000000000000000000000000"
      "0102030405060708090a0b0c0d0e0f10";
  const Bytes bytes = receipt_bytes(sample());
  EXPECT_EQ(bytes.size(), kReceiptBytes);
  EXPECT_EQ(to_hex(bytes), expected);
}

TEST(ReceiptDigest, IsTheKeccakOfTheBytes) {
  EXPECT_EQ(receipt_digest(sample()), keccak256(receipt_bytes(sample())));
}

TEST(ReceiptDigest, DependsOnEveryField) {
  const Digest digest = receipt_digest(sample());
  for (int field = 0; field < 5; ++field) {
    Receipt changed = sample();
    if (field == 0) changed.job_id.bytes[31] ^= 1;
    if (field == 1) changed.result_hash.bytes[0] ^= 1;
    if (field == 2) changed.output_hash.bytes[31] ^= 1;
    if (field == 3) changed.price.high ^= 1;
    if (field == 4) changed.price.low ^= 1;
    EXPECT_NE(receipt_digest(changed), digest) << field;
  }
}

}  // namespace
}  // namespace lockstep
