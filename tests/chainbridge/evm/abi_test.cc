#include "chainbridge/evm/abi.h"

#include <gtest/gtest.h>

namespace lockstep {
namespace {

AbiValue number(std::uint64_t value) { return AbiValue::of(Uint256(value)); }

AbiValue fixed(std::string_view text) {
  Digest word;
  std::copy(text.begin(), text.end(), word.bytes.begin());
  return AbiValue::of(word);
}

std::string word(std::uint64_t value) { return Uint256(value).word().hex(); }

// Source: Solidity documentation, "Contract ABI Specification", examples.
TEST(AbiEncodeCall, WritesTheExamplesOfTheSpecification) {
  EXPECT_EQ(to_hex(encode_abi_call("baz(uint32,bool)", {number(69), number(1)}).value()),
            "cdcd77c0" + word(69) + word(1));
  const AbiValue pair = AbiValue::list({fixed("abc"), fixed("def")});
  EXPECT_EQ(to_hex(encode_abi_call("bar(bytes3[2])", {pair}).value()),
            "fce353f6"
            "6162630000000000000000000000000000000000000000000000000000000000"
            "6465660000000000000000000000000000000000000000000000000000000000");
  EXPECT_EQ(to_hex(encode_abi_call("sam(bytes,bool,uint256[])",
                                   {AbiValue::of_text("dave"), number(1),
                                    AbiValue::list({number(1), number(2), number(3)})})
                       .value()),
            "a5643bf2" + word(0x60) + word(1) + word(0xa0) + word(4) +
                "6461766500000000000000000000000000000000000000000000000000000000" + word(3) +
                word(1) + word(2) + word(3));
  EXPECT_EQ(to_hex(encode_abi_call("f(uint256,uint32[],bytes10,bytes)",
                                   {number(0x123), AbiValue::list({number(0x456), number(0x789)}),
                                    fixed("1234567890"), AbiValue::of_text("Hello, world!")})
                       .value()),
            "8be65246" + word(0x123) + word(0x80) +
                "3132333435363738393000000000000000000000000000000000000000000000" + word(0xe0) +
                word(2) + word(0x456) + word(0x789) + word(0xd) +
                "48656c6c6f2c20776f726c642100000000000000000000000000000000000000");
}

TEST(AbiEncodeCall, WritesListsOfDynamicValues) {
  const std::string one = "6f6e650000000000000000000000000000000000000000000000000000000000";
  const AbiValue numbers =
      AbiValue::list({AbiValue::list({number(1), number(2)}), AbiValue::list({number(3)})});
  const AbiValue texts = AbiValue::list({AbiValue::of_text("one")});
  EXPECT_EQ(to_hex(encode_abi_call("g(uint256[][],string[])", {numbers, texts}).value()),
            "2289b18c" + word(0x40) + word(0x140) + word(2) + word(0x40) + word(0xa0) + word(2) +
                word(1) + word(2) + word(1) + word(3) + word(1) + word(0x20) + word(3) + one);
}

TEST(AbiDecode, ReadsBackWhatItWrites) {
  const AbiType type =
      parse_abi_type("(uint8,(address,bytes)[],int16,bytes32[2],string,(bool,bool)[1][])").value();
  Digest minus_one;
  minus_one.bytes.fill(0xFF);
  const AbiValue flags = AbiValue::list({AbiValue::list({number(1), number(0)})});
  const AbiValue value =
      AbiValue::list({number(255),
                      AbiValue::list({AbiValue::list({number(7), AbiValue::of_bytes(Bytes(33, 9))}),
                                      AbiValue::list({number(8), AbiValue::of_bytes({})})}),
                      AbiValue::of(minus_one), AbiValue::list({AbiValue::of(minus_one), number(0)}),
                      AbiValue::of_text("text"), AbiValue::list({flags, flags})});
  const Bytes bytes = encode_abi(type, value).value();
  EXPECT_EQ(decode_abi(type, bytes).value(), value);
  for (std::size_t size = 0; size < bytes.size(); ++size) {
    EXPECT_FALSE(decode_abi(type, ByteView(bytes).first(size)).ok()) << size;
  }
  Bytes longer = bytes;
  longer.resize(longer.size() + 32);
  EXPECT_FALSE(decode_abi(type, longer).ok());
}

// Whatever bit is flipped: either it is refused, or it encodes to the flipped bytes.
TEST(AbiDecode, AcceptsOneSpellingOfAValue) {
  const AbiType type = parse_abi_type("(uint8,bytes[],bool,address,int8,bytes3,string)").value();
  const AbiValue value = AbiValue::list(
      {number(3), AbiValue::list({AbiValue::of_text("one"), AbiValue::of_text("two")}), number(1),
       number(5), number(6), fixed("abc"), AbiValue::of_text("end")});
  Bytes bytes = encode_abi(type, value).value();
  for (std::size_t bit = 0; bit < 8 * bytes.size(); ++bit) {
    bytes[bit / 8] ^= static_cast<std::uint8_t>(1 << bit % 8);
    const auto decoded = decode_abi(type, bytes);
    if (decoded.ok()) {
      EXPECT_EQ(encode_abi(type, decoded.value()).value(), bytes) << bit;
    }
    bytes[bit / 8] ^= static_cast<std::uint8_t>(1 << bit % 8);
  }
}

TEST(AbiDecode, RefusesAnArrayLongerThanItsBytes) {
  const AbiType type = parse_abi_type("(uint256[])").value();
  EXPECT_FALSE(decode_abi(type, from_hex(word(0x20) + word(1u << 31)).value()).ok());
  EXPECT_FALSE(decode_abi(type, from_hex(word(0x20) + word(~0ULL)).value()).ok());
  EXPECT_FALSE(decode_abi(type, from_hex(word(0x40) + word(0) + word(0)).value()).ok());
}

TEST(AbiEncode, RefusesValuesOutOfTheTypesRange) {
  EXPECT_FALSE(encode_abi_call("f(uint8)", {number(256)}).ok());
  EXPECT_FALSE(encode_abi_call("f(bool)", {number(2)}).ok());
  EXPECT_FALSE(encode_abi_call("f(int8)", {number(128)}).ok());
  EXPECT_FALSE(encode_abi_call("f(bytes3)", {fixed("abcd")}).ok());
  EXPECT_FALSE(encode_abi_call("f(uint8)", {}).ok());
  EXPECT_FALSE(encode_abi_call("f(uint8[2])", {AbiValue::list({number(1)})}).ok());
}

TEST(ParseAbiType, RefusesWhatIsNoType) {
  for (const char* text : {"", "uint", "uint7", "uint264", "uint08", "int0", "bytes0", "bytes33",
                           "(uint8", "uint8)", "(uint8,)", "uint8[", "uint8[0]", "uint8[99999]",
                           "()[]", "uint8 ", "tuple", "((((((((((uint8))))))))))"}) {
    EXPECT_FALSE(parse_abi_type(text).ok()) << text;
  }
  EXPECT_TRUE(parse_abi_type("()").ok());
}

TEST(DecodeAbiCall, RefusesAnotherSelector) {
  const Bytes call = encode_abi_call("f(uint8)", {number(1)}).value();
  EXPECT_EQ(decode_abi_call("f(uint8)", call).value(), std::vector{number(1)});
  EXPECT_FALSE(decode_abi_call("g(uint8)", call).ok());
  EXPECT_FALSE(decode_abi_call("f(uint8)", ByteView(call).first(3)).ok());
}

}  // namespace
}  // namespace lockstep
