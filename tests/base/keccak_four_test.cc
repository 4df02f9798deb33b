#include "base/keccak_four.h"

#include <gtest/gtest.h>

#include <random>

namespace lockstep {
namespace {

TEST(Keccak256Four, EqualsFourSingleHashesForEveryLengthAroundTheRate) {
  std::mt19937_64 random(1);
  for (std::size_t size = 0; size <= 3 * 136 + 1; ++size) {
    std::array<Bytes, 4> bytes;
    std::array<ByteView, 4> views;
    for (std::size_t i = 0; i < 4; ++i) {
      bytes[i].resize(size);
      for (std::uint8_t& byte : bytes[i]) byte = static_cast<std::uint8_t>(random());
      views[i] = bytes[i];
    }
    const auto digests = keccak256_four(views);
    for (std::size_t i = 0; i < 4; ++i) EXPECT_EQ(digests[i], keccak256(views[i])) << size;
  }
}

TEST(Keccak256FourDeathTest, RefusesMessagesOfDifferentLengths) {
  const Bytes a(3);
  const Bytes b(4);
  EXPECT_DEATH(keccak256_four({a, a, a, b}), "different lengths");
}

}  // namespace
}  // namespace lockstep
