#include "scheduler/gateway/gateway_keys.h"

#include <algorithm>
#include <filesystem>
#include <fstream>

#include "base/bytes.h"
#include "base/secret_file.h"

namespace lockstep {

namespace {

constexpr std::string_view kHead = "lockstep-gateway-key 1\nsecret ";

}  // namespace

Result<CurveKeyPair> read_or_make_gateway_keys(const std::string& path, Random& random) {
  if (!std::filesystem::exists(path)) {
    const CurveKeyPair made = make_curve_key_pair(random);
    const std::string text = std::string(kHead) + to_hex(made.secret_key.bytes) + "\n";
    LOCKSTEP_TRY(write_secret_file(path, text), "gateway key");
    return made;
  }
  LOCKSTEP_TRY_ASSIGN(const std::string text, read_secret_file(path), "gateway key");
  const bool has_head = text.starts_with(kHead) && text.ends_with('\n');
  const auto secret =
      has_head
          ? from_hex(std::string_view(text).substr(kHead.size(), text.size() - kHead.size() - 1))
          : Result<Bytes>(Bytes());
  CurveKeyPair pair;
  if (!secret.ok() || secret.value().size() != pair.secret_key.bytes.size()) {
    return Error{ErrorCode::kCorrupt,
                 path + ": is no gateway key; remove it, and start all replicas anew"};
  }
  std::ranges::copy(secret.value(), pair.secret_key.bytes.begin());
  pair.public_key = public_key_of(pair.secret_key);
  return pair;
}

std::string EndpointFile::choose(const std::string& host, std::uint16_t port) const {
  const std::string prefix = "tcp://" + host + ":";
  if (port != 0) return prefix + std::to_string(port);
  std::string known;
  std::ifstream file(path_);
  const bool fits = std::getline(file, known) && known.starts_with(prefix) && known.size() < 64;
  return fits ? known : prefix + "0";
}

Status EndpointFile::write(const std::string& endpoint) const {
  std::ofstream file(path_, std::ios::trunc);
  file << endpoint << '\n';
  file.flush();
  if (!file) return Error{ErrorCode::kIo, path_ + ": cannot be written"};
  return {};
}

}  // namespace lockstep
