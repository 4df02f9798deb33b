// Files and batches over HTTP.
#pragma once

#include <memory>

#include "scheduler/gateway/http/api_parts.h"
#include "scheduler/gateway/http/router.h"

namespace lockstep {

// POST /v1/files: multipart/form-data with `purpose` and `file`, written as it comes.
std::variant<Response, std::unique_ptr<Exchange>> upload_exchange(RouteCall call);

// The other routes of files and batches. Requires: `route` is one of them.
std::unique_ptr<Exchange> batch_exchange(RouteId route, RouteCall call);

}  // namespace lockstep
