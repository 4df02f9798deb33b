// Vectors: FIPS 180-4 examples (SHA-256); the Keccak team's ShortMsgKAT_256 and Ethereum's
// well-known values (Keccak-256).
#include "base/digest.h"

#include <gtest/gtest.h>

namespace lockstep {
namespace {

TEST(Sha256, EqualsThePublishedVectors) {
  EXPECT_EQ(sha256({}).hex(), "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
  EXPECT_EQ(sha256(as_bytes("abc")).hex(),
            "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
  EXPECT_EQ(sha256(as_bytes("abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq")).hex(),
            "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1");
  EXPECT_EQ(sha256(Bytes(1'000'000, 'a')).hex(),
            "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0");
}

TEST(Keccak256, EqualsThePublishedVectorsAndIsNotSha3) {
  EXPECT_EQ(keccak256(std::string_view()).hex(),
            "c5d2460186f7233c927e7db2dcc703c0e500b653ca82273b7bfad8045d85a470");
  EXPECT_EQ(keccak256("abc").hex(),
            "4e03657aea45a94fc7d47ba826c8d667c0d1e6e33a64a036ec44f58fa12d6c45");
  EXPECT_EQ(keccak256(Bytes{0xCC}).hex(),
            "eead6dbfc7340a56caedc044696a168870549a6a7f6f56961e84a54bd9970b8a");
}

TEST(Sha256Update, GivesTheSameDigestHoweverTheStreamIsCut) {
  const Bytes text(1000, 'x');
  for (const std::size_t cut : {0, 1, 63, 64, 65, 999, 1000}) {
    Sha256 hash;
    hash.update(ByteView(text).first(cut));
    hash.update(ByteView(text).subspan(cut));
    EXPECT_EQ(hash.finish(), sha256(text)) << cut;
  }
}

TEST(Keccak256Update, GivesTheSameDigestHoweverTheStreamIsCut) {
  const Bytes text(1000, 'x');
  for (const std::size_t cut : {0, 1, 135, 136, 137, 999, 1000}) {
    Keccak256 hash;
    hash.update(ByteView(text).first(cut));
    hash.update(ByteView(text).subspan(cut));
    EXPECT_EQ(hash.finish(), keccak256(ByteView(text))) << cut;
  }
}

TEST(Sha256Finish, StartsAnew) {
  Sha256 hash;
  hash.update(as_bytes("left over"));
  static_cast<void>(hash.finish());
  EXPECT_EQ(hash.finish(), sha256({}));
}

TEST(Keccak256Finish, StartsAnew) {
  Keccak256 hash;
  hash.update(as_bytes("left over"));
  static_cast<void>(hash.finish());
  EXPECT_EQ(hash.finish(), keccak256(ByteView()));
}

TEST(DigestFromHex, RefusesOtherLengths) {
  EXPECT_TRUE(Digest::from_hex("0x" + std::string(64, '0')).value().is_zero());
  EXPECT_EQ(Digest::from_hex(std::string(62, '0')).error().message,
            "digest: expected 32 bytes, got 31");
  EXPECT_FALSE(Digest::from_hex("").ok());
  EXPECT_FALSE(Digest::from_hex(std::string(66, '0')).ok());
}

}  // namespace
}  // namespace lockstep
