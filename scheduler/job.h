// A job: an accepted request as it lies on disk. Everything that is accepted is a job, whether it
// came as a stream over HTTP, as a line of a batch file or from a chain. Plain values.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "base/digest.h"
#include "base/request_id.h"
#include "base/result.h"
#include "base/sampling.h"
#include "base/wire.h"
#include "scheduler/priority.h"

namespace lockstep {

enum class JobKind : std::uint8_t {
  kRequest = 0,  // A client waits for the answer.
  kJob = 1,      // POST /v1/jobs: asked for later.
  kBatchLine = 2,
  kChain = 3,
};

enum class JobState : std::uint8_t {
  kAccepted = 0,   // Its row is on disk; queued or running.
  kDone = 1,       // Every choice ended with a reason.
  kFailed = 2,     // A choice ended with an error.
  kCancelled = 3,  // By its client, or because its client left.
  kExpired = 4,    // Its deadline passed.
};

inline bool is_terminal(JobState state) { return state != JobState::kAccepted; }

struct JobRecord {
  RequestId id;
  JobKind kind = JobKind::kRequest;
  std::string tenant;
  PriorityClass priority = PriorityClass::kNormal;
  std::string route;         // "/v1/chat/completions"
  std::string request_json;  // The body as it was sent: the form of the answer depends on it.
  std::vector<std::uint32_t> prompt;
  SamplingParams sampling;  // Of choice 0; choice i has choice_index i.
  std::uint32_t num_choices = 1;
  std::int32_t num_top_logprobs = -1;
  Digest model_id;  // Another model refuses to go on with it.
  std::uint32_t numerics_version = 0;
  std::int64_t created_ms = 0;       // Unix time.
  std::int64_t expires_ms = 0;       // 0: never.
  bool keep_without_client = false;  // Goes on when its client leaves.
  std::string idempotency_key;       // Empty: none. Unique per tenant and route for 24 hours.
  Digest body_digest;                // SHA-256 of the body: same key, same body.
  RequestId batch;                   // Of a batch line.
  std::string custom_id;             // Of a batch line.
};

// What is known of one choice.
struct ChoiceRecord {
  std::vector<CompletionToken> tokens;
  std::optional<ChoiceEnd> end;
};

struct JobOutcome {
  JobState state = JobState::kDone;
  std::int64_t ended_ms = 0;  // Unix time.
  std::string error;          // Of kFailed, for the client.
};

// A job with all that is on disk of it.
struct StoredJob {
  JobRecord record;
  std::vector<ChoiceRecord> choices;
  JobState state = JobState::kAccepted;
  JobOutcome outcome;  // When terminal.
};

}  // namespace lockstep
