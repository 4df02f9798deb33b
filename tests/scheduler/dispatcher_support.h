// A dispatcher with a clock, a store that answers when it is told to, and what came out: for its
// tests.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <vector>

#include <gtest/gtest.h>

#include "scheduler/dispatcher.h"

namespace lockstep {

inline constexpr ReplicaId kA{1};
inline constexpr ReplicaId kB{2};

inline RequestId id_of(std::uint8_t n) {
  RequestId id;
  id.bytes[15] = n;
  return id;
}

inline Digest model() {
  Digest digest;
  digest.bytes[0] = 7;
  return digest;
}

inline JobRecord job(std::uint8_t n, PriorityClass priority = PriorityClass::kNormal) {
  JobRecord record;
  record.id = id_of(n);
  record.tenant = "t";
  record.priority = priority;
  record.prompt = {1, 2, 3};
  record.sampling.max_completion_tokens = 1000;
  record.model_id = model();
  record.numerics_version = 1;
  return record;
}

inline std::vector<CompletionToken> tokens(std::uint32_t first, std::uint32_t count) {
  std::vector<CompletionToken> made(count);
  for (std::uint32_t i = 0; i < count; ++i) made[i].token = 100 + first + i;
  return made;
}

class DispatcherTest : public testing::Test {
 protected:
  DispatcherTest() : dispatcher_(config()) {}

  static DispatcherConfig config() {
    DispatcherConfig config;
    config.model_id = model();
    config.numerics_version = 1;
    config.max_attempts = 3;
    return config;
  }

  void collect() {
    for (Effect& effect : dispatcher_.take_effects()) {
      if (auto* store = std::get_if<StoreEffect>(&effect)) {
        unstored_.push_back(store->ticket);
        for (StoreWrite& write : store->writes) writes_.push_back(std::move(write));
      } else {
        effects_.push_back(std::move(effect));
      }
    }
  }

  // Lets the store answer all that it was asked.
  void store(const Status& status = {}) {
    collect();
    while (!unstored_.empty()) {
      const std::uint64_t ticket = unstored_.front();
      unstored_.erase(unstored_.begin());
      dispatcher_.stored(now_, ticket, status);
      if (!status.ok()) break;
      collect();
    }
    collect();
  }

  void accept(JobRecord record) {
    dispatcher_.submit(now_, std::move(record));
    store();
  }

  // The epoch that the replica was given.
  std::uint64_t hello(ReplicaId replica, std::uint32_t credits = 4) {
    HelloMessage message;
    message.model_id = model();
    message.numerics_version = 1;
    message.max_sequences = credits;
    dispatcher_.message(now_, replica, {.body = message});
    collect();
    sequence_[replica] = 0;
    return last_sent<WelcomeMessage>(replica)->epoch;
  }

  void say(ReplicaId replica, std::uint64_t epoch, decltype(ToGateway::body) body) {
    dispatcher_.message(
        now_, replica, {.epoch = epoch, .sequence = ++sequence_[replica], .body = std::move(body)});
    collect();
  }

  void progress(ReplicaId replica, std::uint64_t epoch, ChoiceProgress choice) {
    ProgressMessage message;
    message.choices.push_back(std::move(choice));
    say(replica, epoch, std::move(message));
  }

  void advance(std::int64_t ms) {
    for (std::int64_t gone = 0; gone < ms; gone += 50) {
      now_.mono_ms += 50;
      now_.unix_ms += 50;
      dispatcher_.tick(now_);
    }
    collect();
  }

  // The last message of this kind to the replica.
  template <typename Message>
  std::optional<Message> last_sent(ReplicaId replica) const {
    for (auto it = effects_.rbegin(); it != effects_.rend(); ++it) {
      const auto* send = std::get_if<SendEffect>(&*it);
      if (send == nullptr || send->replica != replica) continue;
      if (const auto* body = std::get_if<Message>(&send->message.body)) return *body;
    }
    return std::nullopt;
  }

  template <typename Kind>
  std::vector<Kind> all() const {
    std::vector<Kind> found;
    for (const Effect& effect : effects_) {
      if (const auto* one = std::get_if<Kind>(&effect)) found.push_back(*one);
    }
    return found;
  }

  template <typename Kind>
  std::vector<Kind> all_writes() const {
    std::vector<Kind> found;
    for (const StoreWrite& write : writes_) {
      if (const auto* one = std::get_if<Kind>(&write)) found.push_back(*one);
    }
    return found;
  }

  static ChoiceProgress piece(std::uint8_t n, std::uint32_t attempt, std::uint32_t first,
                              std::uint32_t count, bool last = false) {
    ChoiceProgress choice{.key = {id_of(n), 0},
                          .attempt = attempt,
                          .first = first,
                          .tokens = tokens(first, count),
                          .end = std::nullopt};
    if (last) {
      choice.end = ChoiceEnd{};
      choice.end->num_tokens = first + count;
    }
    return choice;
  }

  Now now_{.mono_ms = 1000, .unix_ms = 1'000'000};
  Dispatcher dispatcher_;
  std::vector<Effect> effects_;
  std::vector<StoreWrite> writes_;
  std::vector<std::uint64_t> unstored_;
  std::map<ReplicaId, std::uint64_t> sequence_;
};

}  // namespace lockstep
