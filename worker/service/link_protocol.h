// A replica's side of the conversation with its gateway: generations, numbers, what is missing,
// beats and the lease. Pure: no socket, thread, lock or clock; time comes in with every call.
//
// Guarantees: the step loop sees the orders of one generation whole, in order and once, behind the
// Welcome that began it; nothing that is said as one generation is sent as another.
#pragma once

#include <cstdint>
#include <deque>
#include <functional>
#include <optional>
#include <variant>
#include <vector>

#include "base/wire.h"

namespace lockstep {

struct LinkProtocolConfig {
  HelloMessage hello;
  std::int64_t patience_ms = 60'000;  // How long to look for a gateway that answers at all.
  std::int64_t hello_ms = 500;        // Between two tries.
  std::size_t max_queued = 256;       // Messages in each direction.
};

class LinkProtocol {
 public:
  // The patience begins now.
  LinkProtocol(LinkProtocolConfig config, std::int64_t now_ms);

  // What came under the gateway's key, in the order in which it came.
  void receive(std::int64_t now_ms, ToReplica message);
  // So did this, and it was no message.
  void receive_garbage(std::int64_t now_ms);

  bool has_orders() const { return !inbox_.empty(); }
  // The orders of the current generation since the last call, and the Welcome that began it.
  std::vector<ToReplica> take_orders();

  // Says something as generation `epoch`; what another generation says is dropped. False when the
  // queue is full: the generation is over, and another begins with a Welcome.
  bool say(std::uint64_t epoch, std::variant<ProgressMessage, DrainedMessage> body);

  // What is to be sent now: a Hello, a beat, what was said; nothing when there is nothing.
  using BeatSource = std::function<BeatMessage()>;
  std::optional<ToGateway> next_message(std::int64_t now_ms, const BeatSource& beat);
  // The message that next_message() gave last is on its way. Else it was never numbered: what was
  // said is offered again, a beat is not.
  void sent();

  // When next_message() will have something, if nothing is said before.
  std::int64_t next_word_ms() const { return next_word_ms_; }
  // When the gateway is lost, if it says nothing before.
  std::int64_t lease_ends_ms() const;
  bool lost(std::int64_t now_ms) const { return now_ms >= lease_ends_ms(); }
  // 0: none, a Hello is being said.
  std::uint64_t epoch() const { return epoch_; }

 private:
  enum class Sending : std::uint8_t { kNothing, kHello, kBeat, kSaid };

  void begin(const WelcomeMessage& welcome);
  void end_generation();

  LinkProtocolConfig config_;
  std::uint64_t epoch_ = 0;
  std::uint64_t last_epoch_ = 0;  // The newest that was begun.
  std::uint64_t received_ = 0;    // Number of the last order of this generation,
  std::uint64_t sent_ = 0;        // ... and of the last message.
  std::uint64_t lease_ = 0;       // The last LeaseMessage.
  std::int64_t lease_ms_ = 0;     // 0: no gateway has ever answered.
  std::int64_t beat_ms_ = 0;
  std::int64_t last_word_ms_ = 0;  // From the gateway.
  std::int64_t next_word_ms_ = 0;  // To it: a beat or Hello.
  Sending sending_ = Sending::kNothing;
  std::deque<ToReplica> inbox_;
  std::deque<std::variant<ProgressMessage, DrainedMessage>> outbox_;
};

}  // namespace lockstep
