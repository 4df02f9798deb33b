// Vectors: kat_vectors of Random123 (Salmon et al. 2011), philox4x32 10.
#include "base/philox.h"

#include <gtest/gtest.h>

namespace lockstep {
namespace {

using Words = std::array<std::uint32_t, 4>;

TEST(Philox4x32, EqualsThePublishedVectors) {
  EXPECT_EQ(philox4x32_10({0, 0}, {0, 0, 0, 0}),
            (Words{0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8}));
  EXPECT_EQ(
      philox4x32_10({0xffffffff, 0xffffffff}, {0xffffffff, 0xffffffff, 0xffffffff, 0xffffffff}),
      (Words{0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd}));
  EXPECT_EQ(
      philox4x32_10({0xa4093822, 0x299f31d0}, {0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344}),
      (Words{0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1}));
}

TEST(TokenDraw, TakesTheFirstTwoWordsOfItsCounter) {
  EXPECT_EQ(token_draw(0, 0, 0), 0xe169c58d6627e8d5U);
  const Words words = philox4x32_10({0x55667788, 0x11223344}, {9, 2, 0, 0});
  EXPECT_EQ(token_draw(0x1122334455667788, 9, 2), (std::uint64_t{words[1]} << 32) | words[0]);
}

}  // namespace
}  // namespace lockstep
