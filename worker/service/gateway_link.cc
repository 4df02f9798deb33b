#include "worker/service/gateway_link.h"

#include <algorithm>
#include <array>
#include <chrono>
#include <utility>

#include "base/log.h"

namespace lockstep {
namespace {

ZmqLimits link_limits() {
  ZmqLimits limits;
  limits.max_message_bytes = kMaxToReplicaBytes;
  return limits;
}

}  // namespace

GatewayLink::GatewayLink(GatewayLinkConfig config, Hooks hooks, const Clock& clock)
    : config_(std::move(config)),
      hooks_(std::move(hooks)),
      clock_(clock),
      protocol_({.hello = config_.hello,
                 .patience_ms = config_.patience_ms,
                 .hello_ms = config_.hello_ms,
                 .max_queued = config_.max_queued},
                now_ms()) {}

Result<std::unique_ptr<GatewayLink>> GatewayLink::start(GatewayLinkConfig config, Hooks hooks,
                                                        const Clock& clock) {
  LOCKSTEP_TRY(validate(ToGateway{0, 0, config.hello}), "gateway link");
  std::unique_ptr<GatewayLink> link(new GatewayLink(std::move(config), std::move(hooks), clock));
  const ReplicaKeys& keys = link->config_.keys;
  LOCKSTEP_TRY_ASSIGN(link->socket_,
                      ZmqSocket::dealer(link->context_, keys.own, keys.gateway, link_limits()),
                      "gateway link");
  LOCKSTEP_TRY(link->socket_.connect(link->config_.endpoint), "gateway link");
  link->thread_ = std::thread([raw = link.get()] { raw->run(); });
  return link;
}

GatewayLink::~GatewayLink() {
  stopping_.store(true);
  wakeup_.ring();
  if (thread_.joinable()) thread_.join();
}

std::vector<ToReplica> GatewayLink::take(int wait_ms) {
  std::unique_lock lock(mutex_);
  arrived_.wait_for(lock, std::chrono::milliseconds(wait_ms),
                    [this] { return protocol_.has_orders() || !lost_.ok(); });
  return protocol_.take_orders();
}

bool GatewayLink::send(std::uint64_t epoch, std::variant<ProgressMessage, DrainedMessage> body) {
  {
    const std::scoped_lock lock(mutex_);
    if (!protocol_.say(epoch, std::move(body))) return false;
  }
  wakeup_.ring();
  return true;
}

Status GatewayLink::status() const {
  const std::scoped_lock lock(mutex_);
  return lost_;
}

void GatewayLink::run() {
  const std::array<const ZmqSocket*, 1> sockets{&socket_};
  while (!stopping_.load()) {
    wait_for_messages(sockets, wakeup_, next_wait_ms());
    receive_all();
    keep_lease();
    send_all();
  }
  send_all();
}

int GatewayLink::next_wait_ms() const {
  constexpr std::int64_t kLongest = 100;
  const std::scoped_lock lock(mutex_);
  if (!lost_.ok()) return kLongest;  // There is nothing to say any more.
  return static_cast<int>(
      std::clamp<std::int64_t>(protocol_.next_word_ms() - now_ms(), 0, kLongest));
}

// Only the gateway has the key under which these came.
void GatewayLink::receive_all() {
  while (auto message = socket_.receive(1)) {
    auto decoded = message->frames.size() == 1 && !message->more_frames
                       ? decode_to_replica(message->frames[0])
                       : Error{ErrorCode::kCorrupt, "not one frame"};
    if (!decoded.ok()) {
      log_event(LogLevel::kError, "gateway_garbage", {{"error", decoded.error().message}});
    }
    std::uint64_t ended = 0;
    bool orders = false;
    {
      const std::scoped_lock lock(mutex_);
      ended = protocol_.epoch();
      if (decoded.ok()) {
        protocol_.receive(now_ms(), std::move(decoded).value());
      } else {
        protocol_.receive_garbage(now_ms());
      }
      if (protocol_.epoch() != 0) ended = 0;
      orders = protocol_.has_orders();
    }
    if (ended != 0) log_event(LogLevel::kWarning, "generation_lost", {{"epoch", ended}});
    if (orders) arrived_.notify_all();
  }
}

void GatewayLink::keep_lease() {
  std::int64_t over_ms = 0;  // Since the lease ended.
  bool first = false;
  {
    const std::scoped_lock lock(mutex_);
    over_ms = now_ms() - protocol_.lease_ends_ms();
    if (over_ms < 0) return;
    first = lost_.ok();
    if (first) {
      lost_ = Error{ErrorCode::kTimeout,
                    "the gateway at " + config_.endpoint + " has not been heard for a lease"};
    }
  }
  if (first) {
    log_event(LogLevel::kError, "gateway_lost", {{"endpoint", config_.endpoint}});
    arrived_.notify_all();
  }
  if (over_ms < config_.farewell_ms || abandoned_) return;
  abandoned_ = true;
  if (hooks_.abandon) hooks_.abandon();
}

void GatewayLink::send_all() {
  for (;;) {
    std::optional<ToGateway> message;
    {
      const std::scoped_lock lock(mutex_);
      if (!lost_.ok()) return;  // For good, whatever the gateway says later.
      message = protocol_.next_message(now_ms(), hooks_.beat);
    }
    if (!message) return;
    const Bytes bytes = encode_wire(*message);
    if (socket_.send(std::array<ByteView, 1>{bytes}) != ZmqSent::kSent) return;  // Later.
    const std::scoped_lock lock(mutex_);
    protocol_.sent();
  }
}

}  // namespace lockstep
