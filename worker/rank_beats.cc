#include "worker/rank_beats.h"

#include <arpa/inet.h>
#include <netdb.h>
#include <sys/socket.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <utility>

#include "base/log.h"
#include "base/process.h"
#include "base/random.h"

namespace lockstep {
namespace {

constexpr std::size_t kKeyBytes = sizeof(CurvePublicKey);
constexpr std::size_t kKeyFloats = kKeyBytes / sizeof(float);

ZmqLimits beat_limits() {
  ZmqLimits limits;
  limits.max_message_bytes = 4096;  // A beat has 4; the commands of CURVE's handshake have 200.
  limits.max_queued = 16;
  limits.linger_ms = 0;
  return limits;
}

// The first IPv4 address that the host's name stands for.
Result<std::string> resolve(const std::string& host) {
  addrinfo hints{};
  hints.ai_family = AF_INET;
  hints.ai_socktype = SOCK_STREAM;
  addrinfo* found = nullptr;
  if (::getaddrinfo(host.c_str(), nullptr, &hints, &found) != 0 || found == nullptr) {
    return Error{ErrorCode::kUnavailable,
                 "the name of this host, " + host + ", stands for no address; say --beat-address"};
  }
  std::array<char, INET_ADDRSTRLEN> text{};
  sockaddr_in address{};
  std::memcpy(&address, found->ai_addr, sizeof address);
  ::freeaddrinfo(found);
  ::inet_ntop(AF_INET, &address.sin_addr, text.data(), text.size());
  return std::string(text.data());
}

}  // namespace

RankBeats::RankBeats(RankBeatsConfig config, const Clock& clock)
    : config_(std::move(config)), clock_(clock), keys_(make_curve_key_pair(system_random())) {}

Result<std::unique_ptr<RankBeats>> RankBeats::start(Communicator& group,
                                                    const std::vector<RankProcess>& processes,
                                                    RankBeatsConfig config, const Clock& clock) {
  std::unique_ptr<RankBeats> beats(new RankBeats(std::move(config), clock));
  for (std::uint32_t rank = 1; rank < processes.size(); ++rank) {
    if (processes[rank].host != processes[0].host) beats->far_ranks_.push_back(rank);
  }
  if (beats->far_ranks_.empty()) return beats;
  const bool leads = group.rank() == 0;
  LOCKSTEP_TRY(agree(group, leads ? beats->listen() : Status()), "rank beats");
  LOCKSTEP_TRY(beats->exchange(group), "rank beats");
  const auto own = static_cast<std::uint32_t>(group.rank());
  if (leads) {
    beats->heard_ms_ = std::vector<std::atomic<std::int64_t>>(processes.size());
    for (auto& heard_ms : beats->heard_ms_) heard_ms.store(beats->now_ms());
    beats->thread_ = std::thread([raw = beats.get()] { raw->lead(); });
  } else if (std::ranges::find(beats->far_ranks_, own) != beats->far_ranks_.end()) {
    LOCKSTEP_TRY_ASSIGN(
        beats->socket_,
        ZmqSocket::dealer(beats->context_, beats->keys_, beats->leader_key_, beat_limits()),
        "rank beats");
    LOCKSTEP_TRY(beats->socket_.connect(beats->endpoint_), "rank beats");
    beats->thread_ = std::thread([raw = beats.get()] { raw->beat(); });
  }
  return beats;
}

RankBeats::~RankBeats() {
  stopping_.store(true);
  wakeup_.ring();
  if (thread_.joinable()) thread_.join();
}

Status RankBeats::listen() {
  std::string address = config_.address;
  if (address.empty()) {
    LOCKSTEP_TRY_ASSIGN(address, resolve(host_name()), "listen");
  }
  LOCKSTEP_TRY_ASSIGN(ZapHandler zap, ZapHandler::start(context_, allow_list_), "listen");
  zap_ = std::make_unique<ZapHandler>(std::move(zap));
  LOCKSTEP_TRY_ASSIGN(socket_, ZmqSocket::router(context_, keys_.secret_key, beat_limits()),
                      "listen");
  LOCKSTEP_TRY(socket_.bind("tcp://" + address + ":0"), "listen");
  LOCKSTEP_TRY_ASSIGN(endpoint_, socket_.endpoint(), "listen");
  return {};
}

// The leader's key and address to all, everybody's public key to the leader.
Status RankBeats::exchange(Communicator& group) {
  Bytes card(keys_.public_key.bytes.begin(), keys_.public_key.bytes.end());
  card.insert(card.end(), endpoint_.begin(), endpoint_.end());
  LOCKSTEP_TRY(group.broadcast(card), "send the address");
  if (card.size() <= kKeyBytes) return Error{ErrorCode::kCorrupt, "the leader has no address"};
  std::copy_n(card.begin(), kKeyBytes, leader_key_.bytes.begin());
  endpoint_.assign(card.begin() + kKeyBytes, card.end());

  const auto ranks = static_cast<std::size_t>(group.world_size());
  std::array<float, kKeyFloats> mine{};
  std::memcpy(mine.data(), keys_.public_key.bytes.data(), kKeyBytes);
  std::vector<float> all(ranks * kKeyFloats);
  LOCKSTEP_TRY(group.gather(mine, std::vector<std::size_t>(ranks, kKeyFloats), all, 0),
               "collect the keys");
  if (group.rank() != 0) return {};
  for (const std::uint32_t rank : far_ranks_) {
    CurvePublicKey key;
    std::memcpy(key.bytes.data(), all.data() + rank * kKeyFloats, kKeyBytes);
    allow_list_.allow(key, rank);
  }
  return {};
}

std::uint32_t RankBeats::oldest_ms() const {
  std::int64_t oldest = 0;
  if (!heard_ms_.empty()) {
    const std::int64_t now = now_ms();
    for (const std::uint32_t rank : far_ranks_) {
      oldest = std::max(oldest, now - heard_ms_[rank].load());
    }
  }
  return static_cast<std::uint32_t>(oldest);
}

void RankBeats::lead() {
  const std::array<const ZmqSocket*, 2> sockets{&socket_, &zap_->socket()};
  while (!stopping_.load()) {
    wait_for_messages(sockets, wakeup_, config_.interval_ms);
    (void)zap_->answer();
    while (const auto message = socket_.receive(2)) {
      const auto rank = allow_list_.peer_of(message->user);
      if (!rank || message->frames.size() != 2 || message->more_frames) continue;
      heard_ms_[*rank].store(now_ms());
      (void)socket_.send(std::array<ByteView, 2>{message->frames[0], message->frames[1]});
    }
  }
}

void RankBeats::beat() {
  const std::array<const ZmqSocket*, 1> sockets{&socket_};
  const Bytes word{'b', 'e', 'a', 't'};
  std::int64_t answered_ms = now_ms();
  std::int64_t next_ms = answered_ms;
  while (!stopping_.load()) {
    if (now_ms() >= next_ms) {
      (void)socket_.send(std::array<ByteView, 1>{word});
      next_ms = now_ms() + config_.interval_ms;
    }
    const std::int64_t wait_ms = std::clamp<std::int64_t>(next_ms - now_ms(), 0, 100);
    wait_for_messages(sockets, wakeup_, static_cast<int>(wait_ms));
    while (socket_.receive(1)) answered_ms = now_ms();
    if (now_ms() - answered_ms < config_.lease_ms) continue;
    log_event(LogLevel::kError, "leader_lost", {{"silent_ms", now_ms() - answered_ms}});
    if (config_.on_lost) config_.on_lost();
    return;
  }
}

}  // namespace lockstep
