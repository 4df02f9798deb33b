#include "scheduler/gateway/transport/replica_transport.h"

#include <algorithm>
#include <array>
#include <utility>

#include "base/log.h"

namespace lockstep {
namespace {

constexpr int kPollMs = 1000;
// To one replica, in front of its socket.
constexpr std::size_t kMaxQueuedBytes = std::size_t{64} << 20;
// A replica that is asked who it is may have said hundreds of things before it hears that. One
// answer to all of them: each would end a generation that has just begun.
constexpr auto kAskAgain = std::chrono::milliseconds(500);

ZmqLimits limits_of(const ReplicaTransportConfig& config) {
  ZmqLimits limits;
  limits.max_message_bytes = kMaxToGatewayBytes;
  limits.max_queued = config.max_queued;
  limits.handshake_ms = config.handshake_ms;
  limits.heartbeat_ms = config.heartbeat_ms;
  return limits;
}

}  // namespace

ReplicaTransport::ReplicaTransport(ReplicaTransportConfig config, Receiver receiver)
    : config_(std::move(config)), receiver_(std::move(receiver)) {}

Result<std::unique_ptr<ReplicaTransport>> ReplicaTransport::start(ReplicaTransportConfig config,
                                                                  Receiver receiver) {
  std::unique_ptr<ReplicaTransport> transport(
      new ReplicaTransport(std::move(config), std::move(receiver)));
  LOCKSTEP_TRY(transport->open(), "replica transport");
  transport->thread_ = std::thread([raw = transport.get()] { raw->run(); });
  return transport;
}

Status ReplicaTransport::open() {
  // The handler first: without one libzmq lets everybody in.
  LOCKSTEP_TRY_ASSIGN(ZapHandler zap, ZapHandler::start(context_, allow_list_), "open");
  zap_ = std::make_unique<ZapHandler>(std::move(zap));
  LOCKSTEP_TRY_ASSIGN(
      socket_, ZmqSocket::router(context_, config_.keys.secret_key, limits_of(config_)), "open");
  LOCKSTEP_TRY(socket_.bind(config_.endpoint), "open");
  LOCKSTEP_TRY_ASSIGN(endpoint_, socket_.endpoint(), "open");
  return {};
}

ReplicaTransport::~ReplicaTransport() {
  stopping_.store(true);
  wakeup_.ring();
  if (thread_.joinable()) thread_.join();
}

void ReplicaTransport::allow(ReplicaId replica, const CurvePublicKey& key) {
  fence(replica);
  const std::scoped_lock lock(mutex_);
  keys_[replica] = key;
  allow_list_.allow(key, static_cast<std::uint32_t>(replica));
}

void ReplicaTransport::fence(ReplicaId replica) {
  const std::scoped_lock lock(mutex_);
  const auto found = keys_.find(replica);
  if (found != keys_.end()) {
    allow_list_.remove(found->second);
    keys_.erase(found);
  }
  sessions_.erase(replica);
  asked_.erase(replica);
}

Status ReplicaTransport::send(ReplicaId replica, const ToReplica& message) {
  LOCKSTEP_TRY(validate(message), "send");
  Bytes bytes = encode_wire(message);
  if (bytes.size() > kMaxToReplicaBytes) {
    return Error{ErrorCode::kInvalidArgument,
                 "send: the message has " + std::to_string(bytes.size()) + " bytes, at most " +
                     std::to_string(kMaxToReplicaBytes)};
  }
  {
    const std::scoped_lock lock(mutex_);
    const auto found = sessions_.find(replica);
    if (found == sessions_.end() || found->second.broken) {
      return Error{ErrorCode::kUnavailable, "send: the replica has not said Hello"};
    }
    Session& session = found->second;
    if (session.queued >= static_cast<std::size_t>(config_.max_queued) ||
        session.queued_bytes + bytes.size() > kMaxQueuedBytes) {
      session.broken = true;
      ++counts_.undelivered;
      return Error{ErrorCode::kExhausted, "send: the replica's queue is full"};
    }
    ++session.queued;
    session.queued_bytes += bytes.size();
    outbox_.push_back({replica, session.connection, std::move(bytes)});
  }
  wakeup_.ring();
  return {};
}

ReplicaTransport::Counts ReplicaTransport::counts() const {
  const std::scoped_lock lock(mutex_);
  return counts_;
}

void ReplicaTransport::run() {
  const std::array<const ZmqSocket*, 2> sockets{&socket_, &zap_->socket()};
  while (!stopping_.load()) {
    wait_for_messages(sockets, wakeup_, kPollMs);
    const std::uint64_t refused = zap_->answer();
    if (refused > 0) {
      log_event(LogLevel::kWarning, "replica_refused", {{"clients", refused}});
      const std::scoped_lock lock(mutex_);
      counts_.refused_clients += refused;
    }
    receive_all();
    send_all();
  }
  send_all();
}

void ReplicaTransport::receive_all() {
  // Not for ever: the others wait.
  constexpr int kMaxAtOnce = 256;
  for (int i = 0; i < kMaxAtOnce && !stopping_.load(); ++i) {
    const auto message = socket_.receive(2);
    if (!message) return;
    receive(*message);
  }
  wakeup_.ring();
}

void ReplicaTransport::receive(const ZmqMessage& message) {
  const auto count = [this](std::uint64_t Counts::*counter) {
    const std::scoped_lock lock(mutex_);
    ++(counts_.*counter);
  };
  const auto peer = allow_list_.peer_of(message.user);
  if (!peer) {
    count(&Counts::dropped_strangers);
    return;
  }
  const ReplicaId replica{*peer};
  auto decoded = message.frames.size() == 2 && !message.more_frames
                     ? decode_to_gateway(message.frames[1])
                     : Error{ErrorCode::kCorrupt, "wire message: not one frame"};
  if (!decoded.ok()) {
    log_event(LogLevel::kDebug, "replica_garbage",
              {{"replica", *peer}, {"error", decoded.error().message}});
    count(&Counts::dropped_corrupt);
    return;
  }
  const Heard heard =
      hear(replica, message, std::holds_alternative<HelloMessage>(decoded.value().body));
  if (heard == Heard::kStranger) {
    count(&Counts::dropped_strangers);
    return;
  }
  if (heard != Heard::kYes) ask_who_it_is(replica, message.frames[0]);
  if (heard == Heard::kUnidentified) {
    count(&Counts::dropped_unidentified);
    return;
  }
  receiver_(replica, std::move(decoded).value());
}

ReplicaTransport::Heard ReplicaTransport::hear(ReplicaId replica, const ZmqMessage& message,
                                               bool is_hello) {
  const std::scoped_lock lock(mutex_);
  // Once more, in one step with what follows: it may have been fenced, and have a new key by now.
  const auto key = keys_.find(replica);
  if (key == keys_.end() || key->second.text() != message.user) return Heard::kStranger;
  const Bytes& connection = message.frames[0];
  if (is_hello) {
    sessions_[replica] = Session{connection};
    asked_.erase(replica);
  } else {
    const auto session = sessions_.find(replica);
    if (session == sessions_.end() || session->second.connection != connection) {
      return Heard::kUnidentified;
    }
  }
  ++counts_.received;
  return sessions_.at(replica).broken ? Heard::kYesBroken : Heard::kYes;
}

void ReplicaTransport::ask_who_it_is(ReplicaId replica, const Bytes& connection) {
  {
    const std::scoped_lock lock(mutex_);
    const auto now = std::chrono::steady_clock::now();
    Asked& asked = asked_[replica];
    if (asked.connection == connection && now - asked.at < kAskAgain) return;
    asked = {connection, now};
  }
  const Bytes identify = encode_wire(ToReplica{0, 0, IdentifyMessage{}});
  (void)socket_.send(std::array<ByteView, 2>{connection, identify});
}

void ReplicaTransport::send_all() {
  for (;;) {
    Outgoing message;
    {
      const std::scoped_lock lock(mutex_);
      if (outbox_.empty()) return;
      message = std::move(outbox_.front());
      outbox_.pop_front();
      const auto session = sessions_.find(message.replica);
      if (session == sessions_.end() || session->second.connection != message.connection ||
          session->second.broken) {
        continue;
      }
      // A session that said Hello again on its connection has begun to count anew.
      session->second.queued -= std::min<std::size_t>(session->second.queued, 1);
      session->second.queued_bytes -= std::min(session->second.queued_bytes, message.bytes.size());
    }
    const ZmqSent sent = socket_.send(std::array<ByteView, 2>{message.connection, message.bytes});
    const std::scoped_lock lock(mutex_);
    if (sent == ZmqSent::kSent) {
      ++counts_.sent;
      continue;
    }
    // A gap: nothing more on this connection until it has said Hello again.
    ++counts_.undelivered;
    const auto session = sessions_.find(message.replica);
    if (session != sessions_.end() && session->second.connection == message.connection) {
      session->second.broken = true;
    }
  }
}

}  // namespace lockstep
