// Keys of CURVE, ZeroMQ's encryption (X25519): a peer is its public key. A secret key has no text
// and no comparison, so that it ends in no log.
#pragma once

#include <array>
#include <compare>
#include <cstdint>
#include <string>
#include <string_view>

#include "base/random.h"
#include "base/result.h"

namespace lockstep {

struct CurvePublicKey {
  std::array<std::uint8_t, 32> bytes{};

  auto operator<=>(const CurvePublicKey&) const = default;
  // 64 hexadecimal digits.
  std::string text() const;
  // kInvalidArgument unless `text` is 64 hexadecimal digits.
  static Result<CurvePublicKey> parse(std::string_view text);
};

struct CurveSecretKey {
  std::array<std::uint8_t, 32> bytes{};
};

struct CurveKeyPair {
  CurvePublicKey public_key;
  CurveSecretKey secret_key;
};

CurveKeyPair make_curve_key_pair(Random& random);
// The public key of a secret one.
CurvePublicKey public_key_of(const CurveSecretKey& secret_key);

// What a replica is given: its own secret, and whom it may believe.
struct ReplicaKeys {
  CurveKeyPair own;
  CurvePublicKey gateway;
};

// The key file: a secret file (secret_file.h) of three lines, `lockstep-replica-key 1`, `secret
// HEX`, `gateway HEX`. Reading: kPermission when others may read it, kCorrupt when it is none.
Status write_replica_keys(const std::string& path, const ReplicaKeys& keys);
Result<ReplicaKeys> read_replica_keys(const std::string& path);

}  // namespace lockstep
