// Which process each rank of a group is.
#pragma once

#include <vector>

#include "base/result.h"
#include "base/wire.h"
#include "worker/communicator.h"

namespace lockstep {

// The processes of all ranks, by rank; `mine` is this rank's. Collective.
Result<std::vector<RankProcess>> exchange_processes(Communicator& group, const RankProcess& mine);

}  // namespace lockstep
