#include "chainbridge/signer/key_vault.h"

#include <openssl/crypto.h>
#include <sodium.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>

#include <cerrno>

#include "base/file.h"

namespace lockstep {
namespace {

constexpr std::size_t kKeyBytes = 32;

}  // namespace

Status harden_process() {
  const rlimit none{.rlim_cur = 0, .rlim_max = 0};
  if (::setrlimit(RLIMIT_CORE, &none) != 0) return system_error(errno, "signer", "no core dumps");
  // Also keeps debuggers of the same user out, and /proc/PID/mem shut.
  if (::prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) != 0) {
    return system_error(errno, "signer", "not dumpable");
  }
  if (::sodium_init() < 0) return Error{ErrorCode::kInternal, "signer: libsodium does not start"};
  return {};
}

void KeyVault::Wipe::operator()(std::uint8_t* key) const { ::sodium_free(key); }

Result<KeyVault> KeyVault::open(const Keystore& keystore, std::string_view passphrase) {
  std::unique_ptr<std::uint8_t, Wipe> key(static_cast<std::uint8_t*>(::sodium_malloc(kKeyBytes)));
  // sodium_malloc goes on where nothing may be locked; a key that can be swapped out is refused.
  if (key == nullptr || ::mlock(key.get(), kKeyBytes) != 0) {
    return Error{
        ErrorCode::kExhausted,
        "signer: cannot lock memory for the key; raise the limit (ulimit -l, LimitMEMLOCK)"};
  }
  const std::span<std::uint8_t, kKeyBytes> bytes(key.get(), kKeyBytes);
  LOCKSTEP_TRY(open_keystore(keystore, passphrase, bytes), "signer");
  LOCKSTEP_TRY_ASSIGN(const Address address, address_of_key(bytes), "signer");
  if (::sodium_mprotect_noaccess(key.get()) != 0) {
    return system_error(errno, "signer", "protect the key");
  }
  KeyVault vault(std::move(key));
  vault.address_ = address;
  return vault;
}

Result<Signature> KeyVault::sign(const Digest& digest) const {
  CHECK(::sodium_mprotect_readonly(key_.get()) == 0, "the key cannot be read");
  Result<Signature> signature = sign_digest(SecretKeyView(key_.get(), kKeyBytes), digest);
  CHECK(::sodium_mprotect_noaccess(key_.get()) == 0, "the key cannot be protected");
  return signature;
}

void wipe(std::string& text) {
  text.resize(text.capacity());
  OPENSSL_cleanse(text.data(), text.size());
  text.clear();
}

}  // namespace lockstep
