// What POSTs that make a job have in common.
#pragma once

#include <string>

#include "scheduler/gateway/http/api_parts.h"

namespace lockstep {

// The value of Idempotency-Key, empty without one; 400 unless it is 1 to 255 visible characters.
OrApiError<std::string> idempotency_key(const RequestHead& head);

// The job of `request`: identity, tenant, priority, seed, key; all but `kind` and lifetime.
OrApiError<JobRecord> make_record(const RouteCall& call, const GenerationRequest& request,
                                  std::string body);

// Hands the job to the backend, which answers on any thread.
void submit(const RouteCall& call, JobRecord record, Respond respond,
            std::function<Response(Accepted)> answer);

// The id in a path: of a request, or of its answer ("chatcmpl-..."). 404 when it is neither.
OrApiError<RequestId> parse_request_id(const std::string& text);

// What cannot be read any more, because another version wrote it.
Response unreadable_record(const ApiError& error);

}  // namespace lockstep
