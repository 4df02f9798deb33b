#include "base/zap_handler.h"

#include <algorithm>
#include <array>
#include <string_view>

namespace lockstep {
namespace {

// Frames of a request behind the connection: empty, version, request id, domain, address, routing
// id, mechanism, credentials.
constexpr std::size_t kRequestFrames = 9;
constexpr std::size_t kVersion = 2;
constexpr std::size_t kMechanism = 7;
constexpr std::size_t kCredentials = 8;

// The key of a client that asks by CURVE, if that is what it does.
std::optional<CurvePublicKey> client_key(const ZmqMessage& request) {
  CurvePublicKey key;
  if (request.frames.size() != kRequestFrames || request.more_frames ||
      as_text(request.frames[kVersion]) != "1.0" ||
      as_text(request.frames[kMechanism]) != "CURVE" ||
      request.frames[kCredentials].size() != key.bytes.size()) {
    return std::nullopt;
  }
  std::ranges::copy(request.frames[kCredentials], key.bytes.begin());
  return key;
}

}  // namespace

void CurveAllowList::allow(const CurvePublicKey& key, std::uint32_t peer) {
  const std::scoped_lock lock(mutex_);
  peers_[key] = peer;
}

void CurveAllowList::remove(const CurvePublicKey& key) {
  const std::scoped_lock lock(mutex_);
  peers_.erase(key);
}

std::optional<std::uint32_t> CurveAllowList::find(const CurvePublicKey& key) const {
  const std::scoped_lock lock(mutex_);
  const auto found = peers_.find(key);
  return found == peers_.end() ? std::nullopt : std::optional(found->second);
}

std::optional<std::uint32_t> CurveAllowList::peer_of(const std::string& user) const {
  const auto key = CurvePublicKey::parse(user);
  return key.ok() ? find(key.value()) : std::nullopt;
}

Result<ZapHandler> ZapHandler::start(ZmqContext& context, const CurveAllowList& allow_list) {
  LOCKSTEP_TRY_ASSIGN(ZmqSocket socket, ZmqSocket::zap(context), "allow-list");
  return ZapHandler(std::move(socket), allow_list);
}

std::uint64_t ZapHandler::answer() {
  std::uint64_t refused = 0;
  while (const auto request = socket_.receive(kRequestFrames)) {
    if (request->frames.size() < kRequestFrames) continue;  // Not from libzmq.
    const auto key = client_key(*request);
    const bool allowed = key && allow_list_->find(*key).has_value();
    if (!allowed) ++refused;
    // The user is the key: an older connection of the same peer is not taken for its new one.
    const std::string user = allowed ? key->text() : "";
    const std::string_view code = allowed ? "200" : "400";
    const std::string_view text = allowed ? "OK" : "this key may not connect";
    const std::array<ByteView, 8> reply{request->frames[0], ByteView{},     as_bytes("1.0"),
                                        request->frames[3], as_bytes(code), as_bytes(text),
                                        as_bytes(user),     ByteView{}};
    (void)socket_.send(reply);
  }
  return refused;
}

}  // namespace lockstep
