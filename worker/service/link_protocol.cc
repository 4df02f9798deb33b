#include "worker/service/link_protocol.h"

#include <iterator>
#include <utility>

namespace lockstep {

LinkProtocol::LinkProtocol(LinkProtocolConfig config, std::int64_t now_ms)
    : config_(std::move(config)), last_word_ms_(now_ms), next_word_ms_(now_ms) {}

std::int64_t LinkProtocol::lease_ends_ms() const {
  return last_word_ms_ + (lease_ms_ > 0 ? lease_ms_ : config_.patience_ms);
}

void LinkProtocol::receive_garbage(std::int64_t now_ms) {
  last_word_ms_ = now_ms;
  end_generation();
}

void LinkProtocol::receive(std::int64_t now_ms, ToReplica message) {
  last_word_ms_ = now_ms;
  if (std::holds_alternative<IdentifyMessage>(message.body)) return end_generation();
  if (const auto* welcome = std::get_if<WelcomeMessage>(&message.body)) {
    if (message.epoch <= last_epoch_) return;  // It was overtaken.
    begin(*welcome);
  } else {
    if (message.epoch != epoch_ || message.sequence <= received_) return;
    if (message.sequence != received_ + 1) return end_generation();
    received_ = message.sequence;
  }
  if (const auto* lease = std::get_if<LeaseMessage>(&message.body)) {
    lease_ = lease->sequence;
    return;
  }
  if (inbox_.size() >= config_.max_queued) return end_generation();
  inbox_.push_back(std::move(message));
}

void LinkProtocol::begin(const WelcomeMessage& welcome) {
  lease_ms_ = welcome.lease_ms;
  beat_ms_ = welcome.beat_ms;
  epoch_ = last_epoch_ = welcome.epoch;
  received_ = sent_ = 0;
  next_word_ms_ = 0;  // At once: the gateway hears that it was heard.
  sending_ = Sending::kNothing;
  inbox_.clear();
  outbox_.clear();
}

void LinkProtocol::end_generation() {
  epoch_ = 0;
  next_word_ms_ = 0;
  sending_ = Sending::kNothing;
  outbox_.clear();
}

std::vector<ToReplica> LinkProtocol::take_orders() {
  std::vector<ToReplica> orders(std::make_move_iterator(inbox_.begin()),
                                std::make_move_iterator(inbox_.end()));
  inbox_.clear();
  return orders;
}

bool LinkProtocol::say(std::uint64_t epoch, std::variant<ProgressMessage, DrainedMessage> body) {
  if (epoch != epoch_ || epoch == 0) return true;
  if (outbox_.size() >= config_.max_queued) {
    end_generation();
    return false;
  }
  outbox_.push_back(std::move(body));
  return true;
}

std::optional<ToGateway> LinkProtocol::next_message(std::int64_t now_ms, const BeatSource& beat) {
  sending_ = Sending::kNothing;
  if (lost(now_ms)) return std::nullopt;
  if (epoch_ == 0) {
    if (now_ms < next_word_ms_) return std::nullopt;
    sending_ = Sending::kHello;
    next_word_ms_ = now_ms + config_.hello_ms;
    return ToGateway{.epoch = 0, .sequence = 0, .body = config_.hello};
  }
  ToGateway message{.epoch = epoch_, .sequence = sent_ + 1, .body = {}};
  if (now_ms >= next_word_ms_) {
    sending_ = Sending::kBeat;
    next_word_ms_ = now_ms + beat_ms_;
    BeatMessage body = beat();
    body.sequence = lease_;
    message.body = body;
    return message;
  }
  if (outbox_.empty()) return std::nullopt;
  sending_ = Sending::kSaid;
  std::visit([&](const auto& body) { message.body = body; }, outbox_.front());
  return message;
}

// A beat that could not be sent is not missed: the next message has its number.
void LinkProtocol::sent() {
  if (sending_ == Sending::kBeat || sending_ == Sending::kSaid) ++sent_;
  if (sending_ == Sending::kSaid) outbox_.pop_front();
  sending_ = Sending::kNothing;
}

}  // namespace lockstep
