// The page at "/": static, without data, asks for the key and then for /v1/lockstep/status.
#pragma once

#include "scheduler/gateway/http/response.h"

namespace lockstep {

Response dashboard_response();

}  // namespace lockstep
