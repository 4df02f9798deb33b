// Where accepted jobs and their tokens lie: the gateway's durable truth. One process opens it.
//
// Writes are plain values. A commit is atomic, and durable when its callback says so; commits take
// effect in the order in which they were given. Implementations: SQLite (`gateway/store/`), and the
// simulated disk of tests/simulation.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <variant>
#include <vector>

#include "base/result.h"
#include "scheduler/job.h"

namespace lockstep {

// Accepts a job. The commit's callback gets kAborted when its idempotency key is taken; then
// nothing of that commit took effect, and find_key() tells by whom.
struct InsertJob {
  JobRecord job;
};

// Tokens of a choice, appended at index `first`; what is there already is left as it is (it is
// equal: one answer).
struct AppendTokens {
  ChoiceKey key;
  std::uint32_t first = 0;
  std::vector<CompletionToken> tokens;
};

struct EndChoice {
  ChoiceKey key;
  ChoiceEnd end;
};

// The terminal row.
struct EndJob {
  RequestId id;
  JobOutcome outcome;
};

using StoreWrite = std::variant<InsertJob, AppendTokens, EndChoice, EndJob>;

// A light view of a job that waits; what it takes to put it into order.
struct WaitingJob {
  RequestId id;
  std::string tenant;
  PriorityClass priority = PriorityClass::kNormal;
  JobKind kind = JobKind::kRequest;
  std::uint32_t num_choices = 1;
  std::int64_t expires_ms = 0;
  bool keep_without_client = false;
};

// Calls come from any thread; callbacks run on the store's thread, in the order of the commits, and
// must not block. A bounded number of commits waits: beyond it, the caller gets kExhausted at once.
class JobStore {
 public:
  virtual ~JobStore() = default;

  virtual void commit(std::vector<StoreWrite> writes, std::function<void(Status)> done) = 0;

  // kNotFound; kAborted when it is past its retention and only its id is known.
  virtual void load(RequestId id, std::function<void(Result<StoredJob>)> done) = 0;

  // The job that holds an idempotency key and the digest of its body; kNotFound.
  struct KeyHolder {
    RequestId id;
    Digest body_digest;
  };
  virtual void find_key(std::string tenant, std::string route, std::string key,
                        std::function<void(Result<KeyHolder>)> done) = 0;

  // All jobs that are not terminal, oldest first: what a restarted gateway goes on with.
  virtual void load_waiting(std::function<void(Result<std::vector<WaitingJob>>)> done) = 0;
};

}  // namespace lockstep
