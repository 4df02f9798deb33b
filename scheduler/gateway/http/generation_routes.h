// Routes that accept a request, and those that look at one again.
#pragma once

#include <memory>

#include "scheduler/gateway/http/api_parts.h"

namespace lockstep {

// POST /v1/completions, /v1/chat/completions: 200 behind the row on disk, then the answer.
std::unique_ptr<Exchange> generate_exchange(RouteCall call);
// GET /v1/requests/ID/events
std::unique_ptr<Exchange> events_exchange(RouteCall call);

// POST /v1/jobs: 202 behind the row on disk. GET and DELETE /v1/jobs/ID.
std::unique_ptr<Exchange> create_job_exchange(RouteCall call);
std::unique_ptr<Exchange> list_jobs_exchange(RouteCall call);
std::unique_ptr<Exchange> get_job_exchange(RouteCall call);
std::unique_ptr<Exchange> cancel_job_exchange(RouteCall call);

}  // namespace lockstep
