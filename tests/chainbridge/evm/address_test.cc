#include "chainbridge/evm/address.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cctype>

namespace lockstep {
namespace {

// Source: EIP-55.
constexpr const char* kVectors[] = {
    "0x52908400098527886E0F7030069857D2E4169EE7", "0x8617E340B3D01FA5F11F306F4090FD50E238070D",
    "0xde709f2102306220921060314715629080e2fb77", "0x27b1fdb04752bbc536007a920d24acb045561c26",
    "0x5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAed", "0xfB6916095ca1df60bB79Ce92cE3Ea74c37c5d359",
    "0xdbF03B407c01E7cD3CBea99509d93f8DDDC8C6FB", "0xD1220A0cf47c7B9Be7A2E6BA89F429762e7b9aDb"};

TEST(AddressText, HasTheChecksumOfEip55) {
  for (const std::string text : kVectors) {
    std::string lower = text;
    std::ranges::transform(lower, lower.begin(), [](unsigned char c) { return std::tolower(c); });
    EXPECT_EQ(Address::of_text(lower).value().text(), text);
    EXPECT_EQ(Address::of_text(text).value().text(), text);
  }
}

TEST(AddressText, RefusesAMistypedCharacter) {
  EXPECT_FALSE(Address::of_text("0x5AAeb6053F3E94C9b9A09f33669435E7Ef1BeAed").ok());
  EXPECT_FALSE(Address::of_text("0x5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAe").ok());
  EXPECT_FALSE(Address::of_text("5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAed").ok());
  EXPECT_FALSE(Address::of_text("0x5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAeg").ok());
}

TEST(AddressWord, IsLeftPaddedWithZeros) {
  const Address address = Address::of_text(kVectors[0]).value();
  EXPECT_EQ(Address::of_word(address.word()).value(), address);
  Digest dirty = address.word();
  dirty.bytes[11] = 1;
  EXPECT_FALSE(Address::of_word(dirty).ok());
}

}  // namespace
}  // namespace lockstep
