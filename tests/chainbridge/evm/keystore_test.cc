#include "chainbridge/evm/keystore.h"

#include <gtest/gtest.h>

#include "base/canonical_json.h"

namespace lockstep {
namespace {

constexpr std::string_view kKey =
    "7a28b5ba57c53603b0b07b56bba752f7784bf506fa95edc395f5cf6c7514fe9d";

// Source: Web3 Secret Storage Definition, test vector (password "testpassword"). Its vector of
// scrypt has n = 2^18 with r = 1, which RFC 7914 forbids (n < 2^(16 r)) and OpenSSL refuses; scrypt
// is compared with ethers instead (evm_vectors_test.cc).
constexpr std::string_view kPbkdf2 = R"({"crypto": {"cipher": "aes-128-ctr",
  "cipherparams": {"iv": "6087dab2f9fdbbfaddc31a909735c1e6"},
  "ciphertext": "5318b4d5bcd28de64ee5559e671353e16f075ecae9f99c7a79a38af5f869aa46",
  "kdf": "pbkdf2", "kdfparams": {"c": 262144, "dklen": 32, "prf": "hmac-sha256",
    "salt": "ae3cd4e7013836a3df6bd7241b12db061dbe2c6785853cce422d148a624ce0bd"},
  "mac": "517ead924a9d0dc3124507e3393d175ce3ff7c1e96529c6c555ce9e51205e9b2"},
  "id": "3198bc9c-6672-5ab3-d995-4942343ae5b6", "version": 3})";
class FixedRandom final : public Random {
 public:
  void fill(std::span<std::uint8_t> out) override { std::ranges::fill(out, std::uint8_t{7}); }
};

Digest example_key() { return Digest::from_hex(kKey).value(); }

// A keystore that opens in a millisecond.
Keystore cheap() {
  FixedRandom random;
  return seal_keystore(example_key().bytes, "testpassword", 2, random).value();
}

TEST(OpenKeystore, OpensThePublishedVector) {
  Digest key;
  const Keystore keystore = parse_keystore(kPbkdf2).value();
  ASSERT_TRUE(open_keystore(keystore, "testpassword", key.bytes).ok());
  EXPECT_EQ(key.hex(), kKey);
}

TEST(OpenKeystore, RefusesAWrongPassphraseAndDamage) {
  Digest key;
  EXPECT_EQ(open_keystore(cheap(), "testpassworD", key.bytes).error().code, ErrorCode::kPermission);
  Keystore damaged = cheap();
  damaged.ciphertext[3] ^= 1;
  EXPECT_EQ(open_keystore(damaged, "testpassword", key.bytes).error().code, ErrorCode::kPermission);
  Keystore other = cheap();
  other.address->bytes[0] ^= 1;
  EXPECT_EQ(open_keystore(other, "testpassword", key.bytes).error().code, ErrorCode::kCorrupt);
  EXPECT_TRUE(key.is_zero()) << "nothing of the key stays behind";
}

TEST(SealKeystore, OpensAgainAndReadsBack) {
  const Keystore read = parse_keystore(keystore_text(cheap())).value();
  Digest key;
  ASSERT_TRUE(open_keystore(read, "testpassword", key.bytes).ok());
  EXPECT_EQ(key.hex(), kKey);
  EXPECT_EQ(keystore_text(cheap()).find(kKey), std::string::npos);
}

TEST(ParseKeystore, RefusesWhatIsOutOfBounds) {
  const Json good = Json::parse(keystore_text(cheap()));
  const auto refused = [&good](const char* pointer, const Json& value) {
    Json changed = good;
    changed[Json::json_pointer(pointer)] = value;
    return !parse_keystore(changed.dump()).ok();
  };
  EXPECT_TRUE(refused("/version", 2));
  EXPECT_TRUE(refused("/version", "3"));
  EXPECT_TRUE(refused("/crypto/cipher", "aes-128-cbc"));
  EXPECT_TRUE(refused("/crypto/cipherparams/iv", "00"));
  EXPECT_TRUE(refused("/crypto/ciphertext", "00"));
  EXPECT_TRUE(refused("/crypto/mac", "zz"));
  EXPECT_TRUE(refused("/crypto/kdf", "argon2"));
  EXPECT_TRUE(refused("/crypto/kdfparams/n", 3));
  EXPECT_TRUE(refused("/crypto/kdfparams/n", 1 << 21));
  EXPECT_TRUE(refused("/crypto/kdfparams/r", 0));
  EXPECT_TRUE(refused("/crypto/kdfparams/p", 17));
  EXPECT_TRUE(refused("/crypto/kdfparams/dklen", 64));
  EXPECT_TRUE(refused("/crypto/kdfparams/salt", ""));
  EXPECT_TRUE(refused("/address", "00"));
  EXPECT_TRUE(refused("/crypto", "text"));
  EXPECT_FALSE(refused("/id", "any text"));
  Json flat = good;
  flat["crypto"]["kdfparams"]["n"] = 1 << 16;
  flat["crypto"]["kdfparams"]["r"] = 1;
  EXPECT_FALSE(parse_keystore(flat.dump()).ok()) << "RFC 7914: n < 2^(16 r)";
  Json huge = good;
  huge["crypto"]["kdfparams"]["n"] = 1 << 20;
  huge["crypto"]["kdfparams"]["r"] = 32;
  EXPECT_FALSE(parse_keystore(huge.dump()).ok()) << "4 GiB";
}

}  // namespace
}  // namespace lockstep
