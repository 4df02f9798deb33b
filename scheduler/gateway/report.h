// What the gateway says of itself to /healthz, /metrics and the dashboard.
#pragma once

#include <memory>

#include "scheduler/dispatcher.h"
#include "scheduler/gateway/api/model_text.h"
#include "scheduler/gateway/api_backend.h"
#include "scheduler/gateway/replica_pool.h"

namespace lockstep {

std::shared_ptr<const GatewayReport> make_report(const ModelText& model,
                                                 const Dispatcher& dispatcher,
                                                 const ReplicaPool& pool, Now now);

}  // namespace lockstep
