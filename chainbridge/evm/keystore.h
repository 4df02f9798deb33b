// Keys at rest: Web3 Secret Storage, version 3 (scrypt or PBKDF2, AES-128-CTR, a MAC that is
// checked before anything is decrypted). Opened keys go into memory of the caller's choice.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "base/bytes.h"
#include "base/digest.h"
#include "base/random.h"
#include "base/result.h"
#include "chainbridge/evm/address.h"
#include "chainbridge/evm/secp256k1.h"

namespace lockstep {

inline constexpr std::size_t kMaxKeystoreBytes = 16 << 10;

struct Keystore {
  enum class Kdf { kScrypt, kPbkdf2 };

  Kdf kdf = Kdf::kScrypt;
  std::uint64_t n = 262'144;          // scrypt: cost, a power of two up to 2^20.
  std::uint32_t r = 8;                // scrypt: block size, 1 to 32; 128 n r at most 1 GiB.
  std::uint32_t p = 1;                // scrypt: parallelization, 1 to 16.
  std::uint32_t iterations = 0;       // PBKDF2 with HMAC-SHA256: 1 to 10^7.
  Bytes salt;                         // 8 to 64 bytes.
  std::array<std::uint8_t, 16> iv{};  // Of AES-128-CTR.
  std::array<std::uint8_t, 32> ciphertext{};
  Digest mac;
  std::optional<Address> address;  // In the clear, where the file has it.
};

// kCorrupt names what is not of version 3, or beyond the bounds above.
Result<Keystore> parse_keystore(std::string_view text);
std::string keystore_text(const Keystore& keystore);

// Decrypts into `key`. kPermission: the passphrase is wrong (or the file damaged); kCorrupt: the
// key is none, or not that of the file's address. Takes the seconds and the memory that the file
// asks for.
Status open_keystore(const Keystore& keystore, std::string_view passphrase,
                     std::span<std::uint8_t, 32> key);

// Encrypts `key` with scrypt of cost `n`. kInvalidArgument: it is no key.
Result<Keystore> seal_keystore(SecretKeyView key, std::string_view passphrase, std::uint64_t n,
                               Random& random);

}  // namespace lockstep
