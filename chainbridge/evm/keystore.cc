#include "chainbridge/evm/keystore.h"

#include <openssl/crypto.h>
#include <openssl/evp.h>

#include <algorithm>
#include <bit>
#include <memory>

#include "base/canonical_json.h"

namespace lockstep {
namespace {

constexpr int kMaxDepth = 4;
constexpr std::uint64_t kMaxScryptN = 1 << 20;
constexpr std::uint64_t kMaxScryptBytes = std::uint64_t{1} << 30;
constexpr std::int64_t kMaxIterations = 10'000'000;
constexpr std::size_t kDerivedBytes = 32;  // 16 for the cipher, 16 for the MAC.

// Bytes that are wiped when they are no longer needed.
struct DerivedKey {
  DerivedKey() = default;
  DerivedKey(const DerivedKey&) = delete;
  DerivedKey& operator=(const DerivedKey&) = delete;
  ~DerivedKey() { OPENSSL_cleanse(bytes.data(), bytes.size()); }

  ByteView cipher() const { return ByteView(bytes).first(16); }
  ByteView mac() const { return ByteView(bytes).subspan(16); }

  std::array<std::uint8_t, kDerivedBytes> bytes{};
};

Error corrupt(std::string_view why) {
  return {ErrorCode::kCorrupt, "keystore: " + std::string(why)};
}

Result<Bytes> bytes_field(const Json& object, const char* key, std::size_t min, std::size_t max) {
  LOCKSTEP_TRY_ASSIGN(const std::string text, json_text(object, key), "keystore");
  const Result<Bytes> bytes = from_hex(text);
  if (!bytes.ok() || bytes.value().size() < min || bytes.value().size() > max) {
    return corrupt("\"" + std::string(key) + "\": expected " + std::to_string(min) + " to " +
                   std::to_string(max) + " bytes in hexadecimal");
  }
  return bytes;
}

template <std::size_t N>
Status read_array(const Json& object, const char* key, std::array<std::uint8_t, N>& out) {
  LOCKSTEP_TRY_ASSIGN(const Bytes bytes, bytes_field(object, key, N, N), "keystore");
  std::ranges::copy(bytes, out.begin());
  return {};
}

Status expect_text(const Json& object, const char* key, std::string_view expected) {
  LOCKSTEP_TRY_ASSIGN(const std::string text, json_text(object, key), "keystore");
  if (text == expected) return {};
  return corrupt("\"" + std::string(key) + "\": expected " + std::string(expected));
}

Status parse_scrypt(const Json& params, Keystore& keystore) {
  LOCKSTEP_TRY_ASSIGN(const std::int64_t n, json_integer(params, "n", 2, kMaxScryptN), "scrypt");
  LOCKSTEP_TRY_ASSIGN(const std::int64_t r, json_integer(params, "r", 1, 32), "scrypt");
  LOCKSTEP_TRY_ASSIGN(const std::int64_t p, json_integer(params, "p", 1, 16), "scrypt");
  keystore.n = static_cast<std::uint64_t>(n);
  keystore.r = static_cast<std::uint32_t>(r);
  keystore.p = static_cast<std::uint32_t>(p);
  if (!std::has_single_bit(keystore.n) || 128 * keystore.n * keystore.r > kMaxScryptBytes) {
    return corrupt("scrypt: n must be a power of two, and 128 n r at most 1 GiB");
  }
  // RFC 7914, section 2; OpenSSL refuses it, too.
  if (keystore.r == 1 && keystore.n >= (1U << 16)) {
    return corrupt("scrypt: with r = 1 n must be below 2^16; write the key with r = 8");
  }
  return {};
}

Status parse_kdf(const Json& crypto, Keystore& keystore) {
  LOCKSTEP_TRY_ASSIGN(const std::string kdf, json_text(crypto, "kdf"), "keystore");
  LOCKSTEP_TRY_ASSIGN(const Json* params, json_member(crypto, "kdfparams"), "keystore");
  LOCKSTEP_TRY_ASSIGN(const std::int64_t derived, json_integer(*params, "dklen", 32, 32), "kdf");
  CHECK(derived == kDerivedBytes, "a bound was not checked");
  LOCKSTEP_TRY_ASSIGN(keystore.salt, bytes_field(*params, "salt", 8, 64), "kdf");
  if (kdf == "scrypt") {
    keystore.kdf = Keystore::Kdf::kScrypt;
    return parse_scrypt(*params, keystore);
  }
  if (kdf != "pbkdf2") return corrupt("\"kdf\": expected scrypt or pbkdf2");
  keystore.kdf = Keystore::Kdf::kPbkdf2;
  LOCKSTEP_TRY(expect_text(*params, "prf", "hmac-sha256"), "pbkdf2");
  LOCKSTEP_TRY_ASSIGN(const std::int64_t c, json_integer(*params, "c", 1, kMaxIterations),
                      "pbkdf2");
  keystore.iterations = static_cast<std::uint32_t>(c);
  return {};
}

Status derive(const Keystore& keystore, std::string_view passphrase, DerivedKey& key) {
  int done = 0;
  if (keystore.kdf == Keystore::Kdf::kScrypt) {
    done = EVP_PBE_scrypt(passphrase.data(), passphrase.size(), keystore.salt.data(),
                          keystore.salt.size(), keystore.n, keystore.r, keystore.p,
                          kMaxScryptBytes + (64 << 20), key.bytes.data(), key.bytes.size());
  } else {
    done = PKCS5_PBKDF2_HMAC(passphrase.data(), static_cast<int>(passphrase.size()),
                             keystore.salt.data(), static_cast<int>(keystore.salt.size()),
                             static_cast<int>(keystore.iterations), EVP_sha256(),
                             static_cast<int>(key.bytes.size()), key.bytes.data());
  }
  if (done == 1) return {};
  return Error{ErrorCode::kExhausted, "keystore: no memory to derive the key from the passphrase"};
}

// Encryption and decryption are the same.
void apply_cipher(ByteView key, ByteView iv, ByteView in, std::span<std::uint8_t> out) {
  const std::unique_ptr<EVP_CIPHER_CTX, decltype(&EVP_CIPHER_CTX_free)> context(
      EVP_CIPHER_CTX_new(), EVP_CIPHER_CTX_free);
  int size = 0;
  CHECK(context != nullptr &&
            EVP_EncryptInit_ex(context.get(), EVP_aes_128_ctr(), nullptr, key.data(), iv.data()) ==
                1 &&
            EVP_EncryptUpdate(context.get(), out.data(), &size, in.data(),
                              static_cast<int>(in.size())) == 1 &&
            size == static_cast<int>(in.size()),
        "OpenSSL has no AES-128-CTR");
}

Digest mac_of(const DerivedKey& key, ByteView ciphertext) {
  Keccak256 hash;
  hash.update(key.mac());
  hash.update(ciphertext);
  return hash.finish();
}

}  // namespace

Result<Keystore> parse_keystore(std::string_view text) {
  if (text.size() > kMaxKeystoreBytes) return corrupt("too long");
  LOCKSTEP_TRY_ASSIGN(const Json root, parse_json(text, kMaxDepth), "keystore");
  LOCKSTEP_TRY_ASSIGN(const std::int64_t version, json_integer(root, "version", 3, 3), "keystore");
  CHECK(version == 3, "a bound was not checked");
  LOCKSTEP_TRY_ASSIGN(const Json* crypto, json_member(root, "crypto"), "keystore");
  LOCKSTEP_TRY(expect_text(*crypto, "cipher", "aes-128-ctr"), "crypto");
  LOCKSTEP_TRY_ASSIGN(const Json* cipher, json_member(*crypto, "cipherparams"), "crypto");
  Keystore keystore;
  LOCKSTEP_TRY(read_array(*cipher, "iv", keystore.iv), "crypto");
  LOCKSTEP_TRY(read_array(*crypto, "ciphertext", keystore.ciphertext), "crypto");
  LOCKSTEP_TRY(read_array(*crypto, "mac", keystore.mac.bytes), "crypto");
  LOCKSTEP_TRY(parse_kdf(*crypto, keystore), "crypto");
  if (root.contains("address")) {
    keystore.address.emplace();
    LOCKSTEP_TRY(read_array(root, "address", keystore.address->bytes), "keystore");
  }
  return keystore;
}

std::string keystore_text(const Keystore& keystore) {
  Json params = {{"dklen", kDerivedBytes}, {"salt", to_hex(keystore.salt)}};
  const bool is_scrypt = keystore.kdf == Keystore::Kdf::kScrypt;
  if (is_scrypt) {
    params.update({{"n", keystore.n}, {"r", keystore.r}, {"p", keystore.p}});
  } else {
    params.update({{"c", keystore.iterations}, {"prf", "hmac-sha256"}});
  }
  Json root = {{"version", 3},
               {"crypto",
                {{"cipher", "aes-128-ctr"},
                 {"cipherparams", {{"iv", to_hex(keystore.iv)}}},
                 {"ciphertext", to_hex(keystore.ciphertext)},
                 {"kdf", is_scrypt ? "scrypt" : "pbkdf2"},
                 {"kdfparams", params},
                 {"mac", keystore.mac.hex()}}}};
  if (keystore.address) root["address"] = to_hex(keystore.address->bytes);
  return root.dump();
}

Status open_keystore(const Keystore& keystore, std::string_view passphrase,
                     std::span<std::uint8_t, 32> key) {
  DerivedKey derived;
  LOCKSTEP_TRY(derive(keystore, passphrase, derived), "open");
  const Digest mac = mac_of(derived, keystore.ciphertext);
  if (CRYPTO_memcmp(mac.bytes.data(), keystore.mac.bytes.data(), mac.bytes.size()) != 0) {
    return Error{ErrorCode::kPermission,
                 "keystore: the passphrase is wrong, or the file was damaged (MAC)"};
  }
  apply_cipher(derived.cipher(), keystore.iv, keystore.ciphertext, key);
  const Result<Address> address = address_of_key(key);
  const bool is_other = address.ok() && keystore.address && *keystore.address != address.value();
  if (address.ok() && !is_other) return {};
  OPENSSL_cleanse(key.data(), key.size());
  return corrupt(is_other ? "the key is not that of its address" : "the key is none");
}

Result<Keystore> seal_keystore(SecretKeyView key, std::string_view passphrase, std::uint64_t n,
                               Random& random) {
  Keystore keystore;
  keystore.n = n;
  if (n < 2 || n > kMaxScryptN || !std::has_single_bit(n)) {
    return Error{ErrorCode::kInvalidArgument, "scrypt: n must be a power of two up to 2^20"};
  }
  LOCKSTEP_TRY_ASSIGN(keystore.address, address_of_key(key), "keystore");
  keystore.salt.resize(32);
  random.fill(keystore.salt);
  random.fill(keystore.iv);
  DerivedKey derived;
  LOCKSTEP_TRY(derive(keystore, passphrase, derived), "seal");
  apply_cipher(derived.cipher(), keystore.iv, key, keystore.ciphertext);
  keystore.mac = mac_of(derived, keystore.ciphertext);
  return keystore;
}

}  // namespace lockstep
