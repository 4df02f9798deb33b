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
#include "scheduler/batch.h"
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

// Of files and batches (batch.h). An insert that is there already is left as it is; updating or
// removing what is not there is kNotFound, removing what an open batch reads kInvalidArgument.
struct InsertFile {
  FileRecord file;
};
struct RemoveFile {
  RequestId id;
};
struct InsertBatch {
  BatchRecord batch;
};
// Everything but the identity, the input and the counts of ended lines, which EndJob keeps.
struct UpdateBatch {
  BatchRecord batch;
};

using StoreWrite = std::variant<InsertJob, AppendTokens, EndChoice, EndJob, InsertFile, RemoveFile,
                                InsertBatch, UpdateBatch>;

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

// A job without its prompt and answer.
struct JobSummary {
  RequestId id;
  std::string route;
  JobState state = JobState::kAccepted;
  std::int64_t created_ms = 0;
  std::int64_t ended_ms = 0;
};

// Calls come from any thread; callbacks run on the store's thread, in the order of the commits, and
// must not block. A bounded number of commits waits: beyond it, the caller gets kExhausted at once,
// on its own thread. While the disk is full, so does every commit that inserts; what only appends
// and ends goes on.
//
// Appending to a job or choice that has ended, and ending it again, changes nothing; a job that is
// not there is kNotFound, and tokens that would leave a gap are kInvalidArgument.
class JobStore {
 public:
  virtual ~JobStore() = default;

  virtual void commit(std::vector<StoreWrite> writes, std::function<void(Status)> done) = 0;

  // kNotFound, also for another tenant's (an empty `tenant` is any); kAborted when it is past its
  // retention and only its id is known.
  virtual void load(std::string tenant, RequestId id,
                    std::function<void(Result<StoredJob>)> done) = 0;

  // The job that holds an idempotency key and the digest of its body; kNotFound.
  struct KeyHolder {
    RequestId id;
    Digest body_digest;
  };
  virtual void find_key(std::string tenant, std::string route, std::string key,
                        std::function<void(Result<KeyHolder>)> done) = 0;

  // The tenant's jobs of kind kJob that came before `before` (zero: all), latest first.
  virtual void list(std::string tenant, RequestId before, std::uint32_t limit,
                    std::function<void(Result<std::vector<JobSummary>>)> done) = 0;

  // All jobs that are not terminal, oldest first: what a restarted gateway goes on with.
  virtual void load_waiting(std::function<void(Result<std::vector<WaitingJob>>)> done) = 0;
};

}  // namespace lockstep
