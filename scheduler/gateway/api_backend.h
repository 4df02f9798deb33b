// What the HTTP interface asks of the gateway behind it. Calls come from any I/O thread and do not
// block; callbacks come once, on any thread.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/result.h"
#include "scheduler/job.h"
#include "scheduler/job_store.h"

namespace lockstep {

// A job's answer as it grows. Thread-safe.
class JobFeed {
 public:
  virtual ~JobFeed() = default;

  virtual const JobRecord& record() const = 0;

  // At most `max_tokens` tokens of a choice from index `first` on; and its end, once all tokens
  // before it were given.
  struct Piece {
    std::vector<CompletionToken> tokens;
    std::optional<ChoiceEnd> end;
  };
  virtual Piece read(std::uint32_t choice, std::uint32_t first, std::uint32_t max_tokens) const = 0;

  // The terminal state, once it is on disk.
  virtual std::optional<JobOutcome> outcome() const = 0;

  // Grows with every change of what read() and outcome() say. A reader takes it first, then reads.
  virtual std::uint64_t version() const = 0;

  // `wake` is called once, soon after version() is no longer `seen`; at once if it is not now,
  // which may be inside this call. It does not block, and does nothing when its reader has gone.
  virtual void wait(std::uint64_t seen, std::function<void()> wake) = 0;
};

struct Accepted {
  std::shared_ptr<JobFeed> feed;
  bool replayed = false;  // The idempotency key held an equal request; this is its job.
};

struct ReplicaReport {
  std::string name;
  std::string state;  // "starting", "ready", "draining", "fenced", "lost"
  std::uint64_t epoch = 0;
  std::uint32_t ranks = 0;
  std::string device;
  std::uint32_t assigned = 0;
  std::uint32_t credits = 0;
  std::uint32_t num_blocks = 0;  // Of its KV cache.
  std::int64_t last_beat_ms_ago = 0;
  BeatMessage beat;
  std::uint64_t restarts = 0;
};

struct GatewayReport {
  std::string model_name;
  Digest model_id;
  std::uint32_t context_tokens = 0;
  bool ready = false;  // At least one replica answers.
  std::vector<ReplicaReport> replicas;
  std::uint64_t queued = 0, running = 0;
  std::uint64_t accepted_total = 0, done_total = 0, failed_total = 0, cancelled_total = 0;
  std::uint64_t moved_total = 0;  // Choices that went on at another replica or generation.
  std::uint64_t prompt_tokens_total = 0, completion_tokens_total = 0;
};

class ApiBackend {
 public:
  virtual ~ApiBackend() = default;

  // Accepts a job: the callback comes when its row is on disk, or says why not. kInvalidArgument:
  // the idempotency key is held by another body (422). kExhausted: full, try later. kUnavailable:
  // draining.
  virtual void submit(JobRecord job, std::function<void(Result<Accepted>)> done) = 0;

  // A job of this tenant. kNotFound (another's, too), kAborted when it is past its retention (410).
  virtual void find(std::string tenant, RequestId id,
                    std::function<void(Result<std::shared_ptr<JobFeed>>)> done) = 0;

  // At most `limit` of the tenant's durable jobs (POST /v1/jobs), newest first, behind `after`
  // (zero: from the newest).
  virtual void list(std::string tenant, RequestId after, std::uint32_t limit,
                    std::function<void(Result<std::vector<JobSummary>>)> done) = 0;

  // Ends it now; what is terminal stays as it is.
  virtual void cancel(std::string tenant, RequestId id, std::function<void(Status)> done) = 0;

  // A client's connection to a job opened (+1) or closed (-1). Without one for 30 s the job is
  // cancelled unless it is kept.
  virtual void watch(RequestId id, int change) = 0;

  // As of the last second at most.
  virtual std::shared_ptr<const GatewayReport> report() const = 0;
};

}  // namespace lockstep
