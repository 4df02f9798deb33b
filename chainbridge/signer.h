// `lockstep signer`: the one process that has a key. It signs what its policy allows, each rollup
// header once, and nothing else; it listens on a Unix socket of its own user.
#pragma once

#include <atomic>
#include <optional>
#include <string>

#include "base/result.h"

namespace lockstep {

struct SignerOptions {
  std::string socket;                // Path; its folder must be this user's alone.
  std::string state;                 // SQLite file of what was signed; made where there is none.
  std::string keystore;              // Web3 Secret Storage, version 3.
  std::string policy;                // JSON.
  std::string passphrase_file;       // Mode 0600; or:
  std::optional<int> passphrase_fd;  // An open descriptor, read to its end.
};

// Blocks until `stop`. kPermission: a file is not private, or the passphrase is wrong.
Status run_signer(const SignerOptions& options, const std::atomic<bool>& stop);

// Makes a new key and writes it, encrypted, to options.keystore, which must not exist; returns its
// address. Needs the keystore and a passphrase alone.
Result<std::string> create_keystore(const SignerOptions& options);

}  // namespace lockstep
