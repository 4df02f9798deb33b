#include "base/digest.h"

#include <cryptopp/keccak.h>
#include <openssl/evp.h>

#include <algorithm>

namespace lockstep {

Result<Digest> Digest::from_hex(std::string_view text) {
  LOCKSTEP_TRY_ASSIGN(const Bytes bytes, lockstep::from_hex(text), "digest");
  Digest digest;
  if (bytes.size() != digest.bytes.size()) {
    return Error{ErrorCode::kInvalidArgument,
                 "digest: expected 32 bytes, got " + std::to_string(bytes.size())};
  }
  std::copy(bytes.begin(), bytes.end(), digest.bytes.begin());
  return digest;
}

struct Sha256::State {
  EVP_MD_CTX* context = EVP_MD_CTX_new();
  State() { restart(); }
  State(const State&) = delete;
  State& operator=(const State&) = delete;
  ~State() { EVP_MD_CTX_free(context); }
  void restart() const {
    CHECK(EVP_DigestInit_ex(context, EVP_sha256(), nullptr) == 1, "OpenSSL has no SHA-256");
  }
};

Sha256::Sha256() : state_(std::make_unique<State>()) {}
Sha256::~Sha256() = default;
Sha256::Sha256(Sha256&&) noexcept = default;
Sha256& Sha256::operator=(Sha256&&) noexcept = default;

void Sha256::update(ByteView bytes) {
  CHECK(EVP_DigestUpdate(state_->context, bytes.data(), bytes.size()) == 1, "SHA-256 failed");
}

Digest Sha256::finish() {
  Digest digest;
  CHECK(EVP_DigestFinal_ex(state_->context, digest.bytes.data(), nullptr) == 1, "SHA-256 failed");
  state_->restart();
  return digest;
}

Digest sha256(ByteView bytes) {
  Sha256 hash;
  hash.update(bytes);
  return hash.finish();
}

struct Keccak256::State {
  CryptoPP::Keccak_256 hash;
};

Keccak256::Keccak256() : state_(std::make_unique<State>()) {}
Keccak256::~Keccak256() = default;
Keccak256::Keccak256(Keccak256&&) noexcept = default;
Keccak256& Keccak256::operator=(Keccak256&&) noexcept = default;

void Keccak256::update(ByteView bytes) {
  // Crypto++ asserts on a null pointer even when the length is zero.
  if (!bytes.empty()) state_->hash.Update(bytes.data(), bytes.size());
}

Digest Keccak256::finish() {
  Digest digest;
  state_->hash.Final(digest.bytes.data());  // Restarts by itself.
  return digest;
}

Digest keccak256(ByteView bytes) {
  CryptoPP::Keccak_256 hash;
  if (!bytes.empty()) hash.Update(bytes.data(), bytes.size());
  Digest digest;
  hash.Final(digest.bytes.data());
  return digest;
}

}  // namespace lockstep
