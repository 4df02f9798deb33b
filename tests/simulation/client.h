// A client over HTTP, as it looks from outside: submits, follows its stream, leaves and comes back
// with the last event id, asks again with its idempotency key, cancels. What it saw is one half of
// what the checker reads.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "scheduler/gateway/api_backend.h"
#include "scheduler/job.h"
#include "tests/simulation/cluster.h"

namespace lockstep::simulation {

// What it wants, and how it behaves. Plain values.
struct Intent {
  JobRecord record;  // As the gateway is asked; without id, time and model.
  std::int64_t submit_us = 0;
  std::int64_t expires_after_ms = 0;     // 0: never.
  bool fits = true;                      // A replica can ever hold it.
  bool follows = true;                   // Its stream; else it asks now and then.
  std::int64_t read_delay_us = 300;      // Between an event and its reading.
  std::int64_t cancel_after_us = -1;     // Behind its acceptance; -1: does not.
  bool leaves_at_once = false;           // Before it has read anything.
  std::uint32_t leave_after_tokens = 0;  // 0: stays.
  std::int64_t away_us = 0;              // Until it is back; -1: never.
  std::uint32_t rewind_tokens = 0;       // It comes back with an older event id.
  bool reconnects = true;                // When the gateway has died.
};

// What it saw. Plain values.
struct ClientLog {
  std::uint32_t tries = 0;      // Submissions that may have been accepted.
  std::int64_t asked_us = 0;    // The last of them.
  std::optional<RequestId> id;  // Accepted.
  std::int64_t accepted_us = 0;
  bool other_body = false;  // Its key is held by another body.
  std::vector<std::vector<CompletionToken>> tokens;
  std::vector<std::optional<ChoiceEnd>> ends;
  std::optional<JobOutcome> outcome;
  std::int64_t ended_us = 0;       // When it saw the outcome.
  std::int64_t cancelled_us = -1;  // When it was told that its job is cancelled.
  std::int64_t left_us = -1;       // The first time it left,
  std::int64_t returned_us = -1;   // ... and came back.
  bool gave_up = false;            // It lost its gateway and did not look for another.
  std::int64_t first_token_us = -1;
  std::vector<std::string> wrong;  // What it could see itself to be wrong.
};

class Client {
 public:
  Client(Cluster& cluster, EventQueue& queue, SeededRandom& random, Intent intent);

  // The gateway died: its connections are closed.
  void gateway_died();
  // Whether it waits for anything.
  bool waits() const { return state_ != State::kDone; }
  bool wants_outcome() const { return state_ != State::kDone && log_.id.has_value(); }

  const Intent& intent() const { return intent_; }
  const ClientLog& log() const { return log_; }

 private:
  enum class State : std::uint8_t { kBefore, kAsking, kFollowing, kAway, kDone };

  void submit();
  void answered(GatewayService& service, std::uint64_t connection, Result<Accepted> answer);
  void submit_again(std::int64_t delay_us);
  void open(GatewayService& service, std::uint64_t connection,
            const std::shared_ptr<JobFeed>& feed);
  void close(GatewayService& service);
  void read_later(std::uint64_t connection);
  void read(GatewayService& service, std::uint64_t connection);
  bool read_choice(std::uint32_t choice);
  void leave(GatewayService& service);
  void come_back();
  void found(GatewayService& service, std::uint64_t connection,
             Result<std::shared_ptr<JobFeed>> feed);
  void cancel();
  void print(const std::string& what) const;

  Cluster& cluster_;
  EventQueue& queue_;
  SeededRandom& random_;
  Intent intent_;
  ClientLog log_;
  State state_ = State::kBefore;
  std::uint64_t connection_ = 0;  // Counts them.
  bool open_ = false;             // The gateway knows this connection.
  bool has_left_ = false;
  std::shared_ptr<JobFeed> feed_;
  std::vector<std::uint32_t> positions_;  // Of the next token of each choice.
};

}  // namespace lockstep::simulation
