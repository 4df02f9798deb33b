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
    : config_(std::move(config)), hooks_(std::move(hooks)), clock_(clock) {}

Result<std::unique_ptr<GatewayLink>> GatewayLink::start(GatewayLinkConfig config, Hooks hooks,
                                                        const Clock& clock) {
  LOCKSTEP_TRY(validate(ToGateway{0, 0, config.hello}), "gateway link");
  std::unique_ptr<GatewayLink> link(new GatewayLink(std::move(config), std::move(hooks), clock));
  const ReplicaKeys& keys = link->config_.keys;
  LOCKSTEP_TRY_ASSIGN(link->socket_,
                      ZmqSocket::dealer(link->context_, keys.own, keys.gateway, link_limits()),
                      "gateway link");
  LOCKSTEP_TRY(link->socket_.connect(link->config_.endpoint), "gateway link");
  link->last_word_ms_ = link->now_ms();
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
                    [this] { return !inbox_.empty() || !lost_.ok(); });
  std::vector<ToReplica> orders(std::make_move_iterator(inbox_.begin()),
                                std::make_move_iterator(inbox_.end()));
  inbox_.clear();
  return orders;
}

bool GatewayLink::send(std::uint64_t epoch, std::variant<ProgressMessage, DrainedMessage> body) {
  {
    const std::scoped_lock lock(mutex_);
    if (epoch != epoch_ || epoch == 0) return true;  // Of a generation that is over.
    if (outbox_.size() >= config_.max_queued) {
      epoch_ = 0;
      outbox_.clear();
      return false;
    }
    outbox_.push_back({epoch, std::move(body)});
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
    wait_for_messages(sockets, wakeup_, next_wait_ms(now_ms()));
    const std::int64_t now = now_ms();
    receive_all(now);
    keep_lease(now);
    speak(now);
    send_queued();
  }
  send_queued();
}

int GatewayLink::next_wait_ms(std::int64_t now_ms) const {
  constexpr std::int64_t kLongest = 100;
  return static_cast<int>(std::clamp<std::int64_t>(next_beat_ms_ - now_ms, 0, kLongest));
}

void GatewayLink::receive_all(std::int64_t now_ms) {
  while (auto message = socket_.receive(1)) {
    // Only the gateway has the key that this came under.
    last_word_ms_ = now_ms;
    auto decoded = message->frames.size() == 1 && !message->more_frames
                       ? decode_to_replica(message->frames[0])
                       : Error{ErrorCode::kCorrupt, "not one frame"};
    if (!decoded.ok()) {
      log_event(LogLevel::kError, "gateway_garbage", {{"error", decoded.error().message}});
      end_generation();
      continue;
    }
    obey(std::move(decoded).value());
  }
}

void GatewayLink::obey(ToReplica message) {
  if (std::holds_alternative<IdentifyMessage>(message.body)) return end_generation();
  const auto* welcome = std::get_if<WelcomeMessage>(&message.body);
  {
    const std::scoped_lock lock(mutex_);
    if (welcome == nullptr && message.epoch != epoch_) return;
  }
  if (welcome != nullptr && message.epoch <= last_epoch_) return;
  if (welcome != nullptr) {
    begin(*welcome);
  } else {
    if (message.sequence <= received_) return;  // A duplicate.
    if (message.sequence != received_ + 1) {
      log_event(LogLevel::kWarning, "orders_missing", {{"after", received_}});
      return end_generation();
    }
    received_ = message.sequence;
  }
  if (const auto* lease = std::get_if<LeaseMessage>(&message.body)) {
    lease_sequence_ = lease->sequence;
    return;
  }
  bool full = false;
  {
    const std::scoped_lock lock(mutex_);
    // Of the last generation: the step thread would drop it anyway.
    if (welcome != nullptr) inbox_.clear();
    full = inbox_.size() >= config_.max_queued;
    if (!full) inbox_.push_back(std::move(message));
  }
  if (full) return end_generation();
  arrived_.notify_all();
}

void GatewayLink::begin(const WelcomeMessage& welcome) {
  lease_ms_ = static_cast<int>(welcome.lease_ms);
  beat_ms_ = static_cast<int>(welcome.beat_ms);
  last_epoch_ = welcome.epoch;
  received_ = sent_ = 0;
  next_beat_ms_ = 0;  // At once: the gateway hears that it was heard.
  const std::scoped_lock lock(mutex_);
  epoch_ = welcome.epoch;
  outbox_.clear();
}

void GatewayLink::end_generation() {
  next_beat_ms_ = 0;
  const std::scoped_lock lock(mutex_);
  epoch_ = 0;
  outbox_.clear();
}

void GatewayLink::keep_lease(std::int64_t now_ms) {
  const std::int64_t silent_ms = now_ms - last_word_ms_;
  const int limit_ms = lease_ms_ > 0 ? lease_ms_ : config_.patience_ms;
  if (silent_ms < limit_ms) return;
  if (status().ok()) {
    log_event(LogLevel::kError, "gateway_lost", {{"silent_ms", silent_ms}});
    {
      const std::scoped_lock lock(mutex_);
      lost_ = Error{ErrorCode::kTimeout, "the gateway at " + config_.endpoint +
                                             " has not been heard for " +
                                             std::to_string(silent_ms) + " ms"};
    }
    arrived_.notify_all();
  }
  if (silent_ms < limit_ms + config_.farewell_ms || abandoned_) return;
  abandoned_ = true;
  if (hooks_.abandon) hooks_.abandon();
}

// A beat, or the Hello before the first one.
void GatewayLink::speak(std::int64_t now_ms) {
  if (now_ms < next_beat_ms_) return;
  std::uint64_t epoch = 0;
  {
    const std::scoped_lock lock(mutex_);
    if (!lost_.ok()) {
      next_beat_ms_ = now_ms + config_.hello_ms;
      return;
    }
    epoch = epoch_;
  }
  if (epoch == 0) {
    next_beat_ms_ = now_ms + config_.hello_ms;
    const Bytes bytes = encode_wire(ToGateway{0, 0, config_.hello});
    (void)socket_.send(std::array<ByteView, 1>{bytes});
    return;
  }
  next_beat_ms_ = now_ms + beat_ms_;
  BeatMessage beat = hooks_.beat();
  beat.sequence = lease_sequence_;
  const Bytes bytes = encode_wire(ToGateway{epoch, sent_ + 1, beat});
  // One that cannot be sent now is not missed: the next one has its number.
  if (socket_.send(std::array<ByteView, 1>{bytes}) == ZmqSent::kSent) ++sent_;
}

void GatewayLink::send_queued() {
  for (;;) {
    Outgoing message;
    {
      const std::scoped_lock lock(mutex_);
      if (outbox_.empty()) return;
      message = outbox_.front();
    }
    ToGateway out{message.epoch, sent_ + 1, {}};
    std::visit([&](auto& body) { out.body = std::move(body); }, message.body);
    const Bytes bytes = encode_wire(out);
    if (socket_.send(std::array<ByteView, 1>{bytes}) != ZmqSent::kSent) return;  // Later.
    ++sent_;
    const std::scoped_lock lock(mutex_);
    if (!outbox_.empty() && outbox_.front().epoch == message.epoch) outbox_.pop_front();
  }
}

}  // namespace lockstep
