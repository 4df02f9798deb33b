// Durable jobs: a request for later, written like a line of a batch file.
//
//   {"url": "/v1/chat/completions", "body": {...}, "expires_in_s": 3600}
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "scheduler/gateway/api/answer_form.h"
#include "scheduler/gateway/batch_backend.h"
#include "scheduler/job_store.h"

namespace lockstep {

inline constexpr std::int64_t kMaxJobLifetimeS = 30 * 24 * 3600;

struct JobRequest {
  std::string route;
  GenerationRequest generation;   // Never a stream.
  std::int64_t expires_in_s = 0;  // 0: never.
};
OrApiError<JobRequest> parse_job_request(std::string_view body);

// What `request_json` of a record asks for: of a job the request inside. Requires: it was parsed
// before; an error means another version wrote the row.
OrApiError<GenerationRequest> parse_record(const JobRecord& record);

// A job as a client sees it. `choices` are read when the state is kDone.
OrderedJson job_body(const AnswerForm& form, const std::optional<JobOutcome>& outcome,
                     std::span<const ChoiceRecord> choices);

// A page of jobs, each with what is known of it without reading it.
std::string job_list_body(const Listed<JobSummary>& jobs);

}  // namespace lockstep
