#include "base/curve_key.h"

#include <gtest/gtest.h>
#include <sys/stat.h>

#include <numeric>

#include "base/bytes.h"
#include "base/secret_file.h"
#include "tests/support/scratch_directory.h"

namespace lockstep {
namespace {

// Bytes 1 to 32, and what RFC 7748 (worked out by a program of its own) makes of them.
constexpr const char* kSecret = "0102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f20";
constexpr const char* kPublic = "07a37cbc142093c8b755dc1b10e86cb426374ad16aa853ed0bdfc0b2b86d1c7c";

CurveSecretKey known_secret() {
  CurveSecretKey secret;
  std::iota(secret.bytes.begin(), secret.bytes.end(), std::uint8_t{1});
  return secret;
}

TEST(CurvePublicKey, IsWhatTheStandardDerives) {
  EXPECT_EQ(public_key_of(known_secret()).text(), kPublic);
}

TEST(CurvePublicKey, ReadsItsOwnTextAlone) {
  EXPECT_EQ(CurvePublicKey::parse(kPublic).value(), public_key_of(known_secret()));
  const std::string text = kPublic;
  EXPECT_FALSE(CurvePublicKey::parse(text.substr(1)).ok());
  EXPECT_FALSE(CurvePublicKey::parse("0x" + text).ok());
  EXPECT_FALSE(CurvePublicKey::parse("zz" + text.substr(2)).ok());
  EXPECT_FALSE(CurvePublicKey::parse("").ok());
}

TEST(MakeCurveKeyPair, DrawsANewOneEachTime) {
  const CurveKeyPair one = make_curve_key_pair(system_random());
  const CurveKeyPair two = make_curve_key_pair(system_random());
  EXPECT_NE(one.public_key, two.public_key);
  EXPECT_EQ(one.public_key, public_key_of(one.secret_key));
}

TEST(ReplicaKeys, LieInAFileOfTheKnownForm) {
  const ScratchDirectory scratch;
  ReplicaKeys keys;
  keys.own = {public_key_of(known_secret()), known_secret()};
  keys.gateway = CurvePublicKey::parse(std::string(64, 'a')).value();

  ASSERT_TRUE(write_replica_keys(scratch.file("key"), keys).ok());

  EXPECT_EQ(read_text(scratch.file("key")), std::string("lockstep-replica-key 1\nsecret ") +
                                                kSecret + "\ngateway " + std::string(64, 'a') +
                                                "\n");
  const auto read = read_replica_keys(scratch.file("key"));
  ASSERT_TRUE(read.ok()) << read.error().message;
  EXPECT_EQ(read.value().own.secret_key.bytes, keys.own.secret_key.bytes);
  EXPECT_EQ(read.value().own.public_key, keys.own.public_key);
  EXPECT_EQ(read.value().gateway, keys.gateway);
}

TEST(ReplicaKeys, AreRefusedInAnyOtherForm) {
  const ScratchDirectory scratch;
  const std::string good =
      std::string("lockstep-replica-key 1\nsecret ") + kSecret + "\ngateway " + kPublic + "\n";
  const std::vector<std::string> bad = {"",
                                        good.substr(0, good.size() - 1),
                                        good + "\n",
                                        "lockstep-replica-key 2" + good.substr(22),
                                        good.substr(0, 23) + "Secret" + good.substr(29),
                                        good.substr(0, 40) + "x" + good.substr(41)};
  int number = 0;
  for (const std::string& text : bad) {
    const std::string path = scratch.file("key" + std::to_string(number++));
    ASSERT_TRUE(write_secret_file(path, text).ok());
    const auto read = read_replica_keys(path);
    ASSERT_FALSE(read.ok()) << text;
    EXPECT_EQ(read.error().code, ErrorCode::kCorrupt);
    EXPECT_NE(read.error().message.find(path), std::string::npos);
    EXPECT_EQ(read.error().message.find(std::string(kSecret).substr(0, 8)), std::string::npos);
  }
  ASSERT_TRUE(write_secret_file(scratch.file("good"), good).ok());
  ASSERT_EQ(::chmod(scratch.file("good").c_str(), 0644), 0);
  EXPECT_EQ(read_replica_keys(scratch.file("good")).error().code, ErrorCode::kPermission);
}

}  // namespace
}  // namespace lockstep
