#include "chainbridge/signer.h"

#include <openssl/crypto.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <filesystem>

#include "base/clock.h"
#include "base/file.h"
#include "base/log.h"
#include "base/random.h"
#include "base/secret_file.h"
#include "chainbridge/signer/signer_service.h"
#include "chainbridge/signer/signer_socket.h"

namespace lockstep {
namespace {

constexpr std::uint64_t kScryptN = 1 << 17;  // 128 MiB and half a second for each guess.

// A text that is wiped when it goes.
struct Secret {
  Secret() = default;
  Secret(const Secret&) = delete;
  Secret& operator=(const Secret&) = delete;
  ~Secret() { wipe(text); }

  std::string text;
};

Status read_descriptor(int fd, std::string& text) {
  text.resize(kMaxSecretFileBytes + 1);
  std::size_t size = 0;
  while (size < text.size()) {
    const ssize_t got = ::read(fd, text.data() + size, text.size() - size);
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return system_error(errno, "--passphrase-fd", "read");
    if (got == 0) break;
    size += static_cast<std::size_t>(got);
  }
  if (size > kMaxSecretFileBytes) return Error{ErrorCode::kExhausted, "the passphrase is too long"};
  text.resize(size);
  return {};
}

// The passphrase without the line feed that ends its file.
Status read_passphrase(const SignerOptions& options, Secret& secret) {
  if (options.passphrase_file.empty() != options.passphrase_fd.has_value()) {
    return Error{ErrorCode::kInvalidArgument,
                 "expected either --passphrase-file or --passphrase-fd"};
  }
  if (options.passphrase_fd) {
    LOCKSTEP_TRY(read_descriptor(*options.passphrase_fd, secret.text), "passphrase");
  } else {
    LOCKSTEP_TRY_ASSIGN(secret.text, read_secret_file(options.passphrase_file), "passphrase");
  }
  if (secret.text.ends_with('\n')) secret.text.pop_back();
  if (secret.text.empty()) return Error{ErrorCode::kInvalidArgument, "the passphrase is empty"};
  return {};
}

// Whoever may write there could put a socket of his own in the place of ours.
Status check_folder(const std::string& socket) {
  const std::filesystem::path parent = std::filesystem::path(socket).parent_path();
  const std::string folder = parent.empty() ? "." : parent.string();
  struct stat info {};
  if (::stat(folder.c_str(), &info) != 0) return system_error(errno, folder, "stat");
  if (info.st_uid == ::geteuid() && (info.st_mode & 077) == 0) return {};
  return Error{ErrorCode::kPermission,
               folder + ": is not this user's alone; chmod 700, or give another --socket"};
}

}  // namespace

Status run_signer(const SignerOptions& options, const std::atomic<bool>& stop) {
  LOCKSTEP_TRY(harden_process(), "signer");
  LOCKSTEP_TRY(check_folder(options.socket), "--socket");
  LOCKSTEP_TRY_ASSIGN(const std::string policy_text, read_file(options.policy, kMaxPolicyBytes),
                      "--policy");
  LOCKSTEP_TRY_ASSIGN(SignerPolicy policy, parse_signer_policy(policy_text), options.policy);
  LOCKSTEP_TRY_ASSIGN(const std::string text, read_file(options.keystore, kMaxKeystoreBytes),
                      "--keystore");
  LOCKSTEP_TRY_ASSIGN(const Keystore keystore, parse_keystore(text), options.keystore);
  LOCKSTEP_TRY_ASSIGN(SignerStore store, SignerStore::open(options.state), "--state");
  Secret passphrase;
  LOCKSTEP_TRY(read_passphrase(options, passphrase), "signer");
  LOCKSTEP_TRY_ASSIGN(KeyVault vault, KeyVault::open(keystore, passphrase.text), options.keystore);
  wipe(passphrase.text);
  SignerService service(std::move(vault), std::move(policy), std::move(store), system_clock());
  log_event(LogLevel::kInfo, "signer_ready", {{"address", service.address().text()}});
  return serve_signer(
      options.socket, [&service](ByteView request) { return service.answer(request); }, stop);
}

Result<std::string> create_keystore(const SignerOptions& options) {
  LOCKSTEP_TRY(harden_process(), "signer");
  Secret passphrase;
  LOCKSTEP_TRY(read_passphrase(options, passphrase), "signer");
  std::array<std::uint8_t, 32> key{};
  system_random().fill(key);
  const Result<Keystore> keystore = seal_keystore(key, passphrase.text, kScryptN, system_random());
  OPENSSL_cleanse(key.data(), key.size());
  if (!keystore.ok()) return keystore.error();
  LOCKSTEP_TRY(write_secret_file(options.keystore, keystore_text(keystore.value())), "--keystore");
  return keystore.value().address->text();
}

}  // namespace lockstep
