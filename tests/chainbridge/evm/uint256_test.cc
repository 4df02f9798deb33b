#include "chainbridge/evm/uint256.h"

#include <gtest/gtest.h>

#include <random>

namespace lockstep {
namespace {

const std::string kMax =
    "115792089237316195423570985008687907853269984665640564039457584007913129639935";

Uint256 max() { return Uint256::of_decimal(kMax).value(); }

TEST(Uint256Text, ReadsBackWhatItWrites) {
  for (const char* decimal : {"0", "1", "18446744073709551615", "18446744073709551616",
                              "1000000000000000000000000000", kMax.c_str()}) {
    const Uint256 value = Uint256::of_decimal(decimal).value();
    EXPECT_EQ(value.decimal(), decimal);
    EXPECT_EQ(Uint256::of_quantity(value.quantity()).value(), value);
    EXPECT_EQ(Uint256::of_word(value.word()), value);
    EXPECT_EQ(Uint256::of_bytes(value.minimal_bytes()).value(), value);
  }
  EXPECT_EQ(Uint256(0).quantity(), "0x0");
  EXPECT_EQ(Uint256(1024).quantity(), "0x400");
  EXPECT_EQ(max().num_bits(), 256);
}

TEST(Uint256Text, RefusesWhatIsNoQuantity) {
  for (const char* text : {"", "0x", "0x00", "0x01", "1", "0xg", "0x0x1", "0X1", "0x 1", "-0x1",
                           "0x10000000000000000000000000000000000000000000000000000000000000000"}) {
    EXPECT_FALSE(Uint256::of_quantity(text).ok()) << text;
  }
  for (const char* text :
       {"", "-1", "1 ", "0x1",
        "115792089237316195423570985008687907853269984665640564039457584007913129639936"}) {
    EXPECT_FALSE(Uint256::of_decimal(text).ok()) << text;
  }
}

TEST(Uint256Arithmetic, SaysWhenAResultDoesNotFit) {
  EXPECT_FALSE(checked_add(max(), 1));
  EXPECT_FALSE(checked_sub(1, 2));
  EXPECT_FALSE(checked_mul(max(), 2));
  EXPECT_EQ(checked_add(max(), 0), max());
  EXPECT_EQ(checked_sub(max(), max()), Uint256(0));
  EXPECT_EQ(checked_mul(max(), 1), max());
}

// (a * b + c) / b gives a and c back, for a, b, c of all sizes.
TEST(Uint256Arithmetic, DividesWhatItMultiplied) {
  for (std::uint64_t seed = 0; seed < 500; ++seed) {
    SCOPED_TRACE(testing::Message() << "seed=" << seed);
    std::mt19937_64 random(seed);
    Uint256 a;
    for (int i = 0; i < 3; ++i) a.limbs[static_cast<std::size_t>(i)] = random() >> (random() % 64);
    const std::uint64_t b = (random() >> (random() % 63)) | 1;
    const std::uint64_t c = random() % b;
    const auto product = checked_add(*checked_mul(a, b), c);
    const Quotient quotient = divide(*product, b);
    EXPECT_EQ(quotient.value, a);
    EXPECT_EQ(quotient.remainder, c);
    EXPECT_EQ(checked_mul(b, a), checked_mul(a, b));
    EXPECT_EQ(*checked_sub(*product, c), *checked_mul(a, b));
    EXPECT_GE(*product, a);
  }
}

}  // namespace
}  // namespace lockstep
