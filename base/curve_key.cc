#include "base/curve_key.h"

#include <sodium.h>

#include <algorithm>

#include "base/bytes.h"
#include "base/check.h"
#include "base/secret_file.h"

namespace lockstep {
namespace {

static_assert(crypto_scalarmult_BYTES == 32 && crypto_scalarmult_SCALARBYTES == 32);

constexpr std::string_view kFirstLine = "lockstep-replica-key 1\n";

// Takes "NAME 64 digits\n" off the front of `text`; false when something else stands there.
bool take_key(std::string_view& text, std::string_view name, std::array<std::uint8_t, 32>& out) {
  const std::size_t length = name.size() + 1 + 2 * out.size() + 1;
  if (text.size() < length || !text.starts_with(name) || text[name.size()] != ' ' ||
      text[length - 1] != '\n') {
    return false;
  }
  const auto key = CurvePublicKey::parse(text.substr(name.size() + 1, 2 * out.size()));
  if (!key.ok()) return false;
  out = key.value().bytes;
  text.remove_prefix(length);
  return true;
}

}  // namespace

std::string CurvePublicKey::text() const { return to_hex(bytes); }

Result<CurvePublicKey> CurvePublicKey::parse(std::string_view text) {
  const auto decoded = from_hex(text);
  CurvePublicKey key;
  if (!decoded.ok() || text.size() != 2 * key.bytes.size()) {
    return Error{ErrorCode::kInvalidArgument, "a key has 64 hexadecimal digits"};
  }
  std::ranges::copy(decoded.value(), key.bytes.begin());
  return key;
}

CurvePublicKey public_key_of(const CurveSecretKey& secret_key) {
  CurvePublicKey key;
  // Fails for no scalar: the base point has no small order.
  CHECK(crypto_scalarmult_base(key.bytes.data(), secret_key.bytes.data()) == 0,
        "a secret key has a public one");
  return key;
}

CurveKeyPair make_curve_key_pair(Random& random) {
  CurveKeyPair pair;
  random.fill(pair.secret_key.bytes);
  pair.public_key = public_key_of(pair.secret_key);
  return pair;
}

Status write_replica_keys(const std::string& path, const ReplicaKeys& keys) {
  std::string text(kFirstLine);
  text += "secret " + to_hex(keys.own.secret_key.bytes) + "\n";
  text += "gateway " + keys.gateway.text() + "\n";
  Status status = write_secret_file(path, text);
  sodium_memzero(text.data(), text.size());
  return status;
}

Result<ReplicaKeys> read_replica_keys(const std::string& path) {
  LOCKSTEP_TRY_ASSIGN(std::string text, read_secret_file(path), "key file");
  ReplicaKeys keys;
  std::string_view rest = text;
  const bool first = rest.starts_with(kFirstLine);
  if (first) rest.remove_prefix(kFirstLine.size());
  const bool good = first && take_key(rest, "secret", keys.own.secret_key.bytes) &&
                    take_key(rest, "gateway", keys.gateway.bytes) && rest.empty();
  sodium_memzero(text.data(), text.size());
  if (!good) {
    return Error{ErrorCode::kCorrupt, "key file: " + path +
                                          ": is none; expected the three lines that the gateway "
                                          "writes for each replica"};
  }
  keys.own.public_key = public_key_of(keys.own.secret_key);
  return keys;
}

}  // namespace lockstep
