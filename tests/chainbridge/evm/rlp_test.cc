#include "chainbridge/evm/rlp.h"

#include <gtest/gtest.h>

namespace lockstep {
namespace {

std::string encoded(std::string_view text) {
  Bytes out;
  append_rlp_bytes(out, as_bytes(text));
  return to_hex(out);
}

std::string encoded_integer(const Uint256& value) {
  Bytes out;
  append_rlp_integer(out, value);
  return to_hex(out);
}

Bytes list(std::initializer_list<Bytes> items) {
  Bytes payload;
  for (const Bytes& item : items) payload.insert(payload.end(), item.begin(), item.end());
  Bytes out;
  append_rlp_list(out, payload);
  return out;
}

// Source: Ethereum wiki, "RLP", examples.
TEST(RlpAppend, EncodesTheExamplesOfTheSpecification) {
  EXPECT_EQ(encoded("dog"), "83646f67");
  EXPECT_EQ(encoded(""), "80");
  EXPECT_EQ(encoded(std::string_view("\0", 1)), "00");
  EXPECT_EQ(encoded("\x0f"), "0f");
  EXPECT_EQ(encoded("Lorem ipsum dolor sit amet, consectetur adipisicing elit"),
            "b8384c6f72656d20697073756d20646f6c6f722073697420616d65742c20636f6e73656374657475722061"
            "646970697369"
            "63696e6720656c6974");
  EXPECT_EQ(encoded_integer(0), "80");
  EXPECT_EQ(encoded_integer(15), "0f");
  EXPECT_EQ(encoded_integer(1024), "820400");
  const Bytes empty = list({});
  const Bytes one = list({empty});
  EXPECT_EQ(to_hex(list({empty, one, list({empty, one})})), "c7c0c1c0c3c0c1c0");
  EXPECT_EQ(to_hex(list({{0x83, 'c', 'a', 't'}, {0x83, 'd', 'o', 'g'}})), "c88363617483646f67");
}

TEST(RlpDecode, ReadsListsWithinLists) {
  const Bytes bytes = from_hex("c7c0c1c0c3c0c1c0").value();
  const RlpItem item = decode_rlp(bytes).value();
  ASSERT_EQ(item.items.size(), 3U);
  EXPECT_TRUE(item.items[2].items[1].items[0].is_list);
  const Bytes long_list = list({Bytes(60, 1)});
  EXPECT_EQ(decode_rlp(long_list).value().items.size(), 60U);
}

TEST(RlpDecode, RefusesASecondSpelling) {
  for (const char* text : {
           "",        // Nothing.
           "8100",    // A byte that is its own encoding, with a prefix.
           "817f",    // Another.
           "b80161",  // A short string with a long prefix.
           "b800",    // An empty one.
           "b90001"
           "61",  // A length with a leading zero.
           "f800",
           "f90000",              // Lists alike.
           "83646f",              // Too short.
           "83646f6767",          // Too long.
           "c183",                // An item longer than its list.
           "bfffffffffffffffff",  // A length beyond everything.
           "ffffffffffffffffff",
       }) {
    EXPECT_FALSE(decode_rlp(from_hex(text).value()).ok()) << text;
  }
}

TEST(RlpDecode, BoundsDepthAndItems) {
  Bytes nested = {0xC0};
  for (int i = 1; i < kMaxRlpDepth; ++i) nested = list({nested});
  EXPECT_TRUE(decode_rlp(nested).ok());
  EXPECT_FALSE(decode_rlp(list({nested})).ok());
  EXPECT_TRUE(decode_rlp(list({Bytes(kMaxRlpItems - 1, 1)})).ok());
  EXPECT_FALSE(decode_rlp(list({Bytes(kMaxRlpItems, 1)})).ok());
}

TEST(RlpInteger, RefusesLeadingZerosListsAndMoreThan32Bytes) {
  EXPECT_EQ(rlp_integer(decode_rlp(from_hex("820400").value()).value()).value(), Uint256(1024));
  const Bytes zeros = from_hex("820001").value();
  EXPECT_FALSE(rlp_integer(decode_rlp(zeros).value()).ok());
  EXPECT_FALSE(rlp_integer(RlpItem{.is_list = true, .bytes = {}, .items = {}}).ok());
  const Bytes long_bytes(33, 1);
  EXPECT_FALSE(rlp_integer(RlpItem{.is_list = false, .bytes = long_bytes, .items = {}}).ok());
}

}  // namespace
}  // namespace lockstep
