// The query of a list.
#pragma once

#include <string_view>

#include "scheduler/gateway/api/api_error.h"
#include "scheduler/gateway/batch_backend.h"

namespace lockstep {

// limit, after (an id), purpose, order; all but the tenant.
OrApiError<ListQuery> parse_list_query(std::string_view query,
                                       Result<RequestId> (*parse_id)(std::string_view));

}  // namespace lockstep
