// What the dispatcher knows of jobs, choices, replicas and commits in flight. Plain values.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "scheduler/dispatcher.h"

namespace lockstep {

struct Dispatcher::Choice {
  enum class State : std::uint8_t { kIdle, kQueued, kAssigned, kEnded };
  State state = State::kIdle;
  std::uint64_t item = 0;                       // In the queue.
  PriorityClass lane = PriorityClass::kNormal;  // The class that it rose to.
  std::uint32_t attempt = 0;                    // Assignments so far.
  std::uint32_t losses = 0;                     // Replicas that were lost under it.
  ReplicaId replica{};                          // When assigned.
  std::vector<CompletionToken> tokens;
  std::size_t given = 0;      // Tokens that a commit names, done or in flight.
  std::int64_t dirty_ms = 0;  // Since when there are more.
  std::optional<ChoiceEnd> end;

  bool dirty() const { return given < tokens.size(); }
};

struct Dispatcher::Job {
  enum class State : std::uint8_t {
    kStoring,  // Its row is on the way to the disk.
    kOpen,     // Accepted.
    kEnding,   // Its terminal row is on the way.
  };
  RequestId id;
  State state = State::kOpen;
  TenantId tenant{};
  PriorityClass priority = PriorityClass::kNormal;
  JobKind kind = JobKind::kRequest;
  bool keep_without_client = false;
  std::int64_t expires_ms = 0;
  std::uint64_t arrival = 0;
  std::int64_t since_ms = 0;
  std::shared_ptr<const JobRecord> record;  // Null: on disk alone.
  bool loading = false;
  std::vector<Choice> choices;
  int watchers = 0;
  std::int64_t left_ms = 0;   // When the last watcher left; 0: it was never watched, or is.
  bool cancelled = false;     // While its row was on the way.
  JobOutcome outcome;         // When ending.
  std::int64_t retry_ms = 0;  // When to try the terminal row again; 0: it is in flight.
};

struct Dispatcher::Replica {
  ReplicaId id{};
  ReplicaState state = ReplicaState::kAbsent;
  std::uint64_t epoch = 0;
  std::set<ChoiceKey> assigned;
  std::int64_t heard_ms = 0;
  std::int64_t leased_ms = 0;
  std::int64_t welcomed_ms = 0;
  std::uint64_t sent = 0;      // Messages of this epoch; the first is Welcome.
  std::uint64_t received = 0;  // Messages of this epoch, none missing.
  std::uint64_t lease = 0;
  HelloMessage hello;
  BeatMessage beat;

  std::size_t free_credits() const {
    return assigned.size() < hello.max_sequences ? hello.max_sequences - assigned.size() : 0;
  }
};

// What a commit in flight is for.
struct Dispatcher::Commit {
  enum class Kind : std::uint8_t { kInsert, kTokens, kEnd };
  Kind kind = Kind::kTokens;
  std::vector<RequestId> jobs;     // kInsert; kEnd: one.
  std::vector<ChoiceKey> choices;  // kTokens: whose tokens.
};

}  // namespace lockstep
