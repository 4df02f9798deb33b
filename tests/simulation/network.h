// The wires between gateways and replicas: messages are late, overtake each other, come twice or
// never; a wire can be cut for a while.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <type_traits>
#include <utility>

#include "tests/simulation/event_queue.h"
#include "tests/simulation/seeded_random.h"
#include "tests/simulation/trace.h"

namespace lockstep::simulation {

struct NetworkFaults {
  std::uint32_t drop_per_mille = 0;
  std::uint32_t duplicate_per_mille = 0;
  std::uint32_t delay_per_mille = 0;  // Held up for long, so that others overtake it.
  std::int64_t longest_delay_us = 2'000'000;
};

// One direction of one connection.
struct Wire {
  std::uint64_t name = 0;
  std::int64_t last_us = 0;  // When the last message that was not held up comes.
  std::int64_t cut_until_us = 0;
};

class Network {
 public:
  Network(EventQueue& queue, SeededRandom& random, Trace& trace)
      : queue_(queue), random_(random), trace_(trace) {}

  void set_faults(const NetworkFaults& faults) { faults_ = faults; }
  // The n-th message (from 1 on) that would be delivered is not. For the test of the trace alone.
  void drop_delivery(std::uint64_t n) { dropped_delivery_ = n; }
  std::uint64_t num_delivered() const { return num_delivered_; }

  template <typename Message, typename Deliver>
  void send(Wire& wire, Message message, Deliver deliver) {
    if (queue_.now_us() < wire.cut_until_us) return;
    if (random_.chance(faults_.drop_per_mille)) return;
    const bool twice = random_.chance(faults_.duplicate_per_mille);
    if (twice) carry(wire, message, deliver);
    carry(wire, std::move(message), deliver);
  }

 private:
  template <typename Message, typename Deliver>
  void carry(Wire& wire, Message message, Deliver deliver) {
    std::int64_t arrival_us = queue_.now_us() + random_.between(100, 900);
    if (random_.chance(faults_.delay_per_mille)) {
      arrival_us += random_.between(0, faults_.longest_delay_us);
    } else {
      wire.last_us = arrival_us = std::max(arrival_us, wire.last_us);
    }
    queue_.at(arrival_us,
              [this, &wire, message = std::move(message), deliver = std::move(deliver)]() mutable {
                if (queue_.now_us() < wire.cut_until_us) return;
                if (++num_delivered_ == dropped_delivery_) return;
                trace_.add(static_cast<std::uint64_t>(queue_.now_us()));
                trace_.add(wire.name);
                trace_.add(message);
                if (trace_.prints()) print(wire, message);
                deliver(std::move(message));
              });
  }

  template <typename Message>
  void print(const Wire& wire, const Message& message) const {
    const bool up = std::is_same_v<Message, ToGateway>;
    trace_.print(queue_.now_us(), (up ? "gateway <- " : "gateway -> ") +
                                      std::to_string(wire.name / 2) + "  " + text_of(message));
  }

  EventQueue& queue_;
  SeededRandom& random_;
  Trace& trace_;
  NetworkFaults faults_;
  std::uint64_t num_delivered_ = 0;
  std::uint64_t dropped_delivery_ = 0;
};

}  // namespace lockstep::simulation
