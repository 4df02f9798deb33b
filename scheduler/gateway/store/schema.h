// The tables of the gateway's database, and how an older database becomes today's. Every version
// that was ever in use has a step; a step is one transaction.
#pragma once

#include <cstdint>

#include "base/database.h"
#include "base/result.h"

namespace lockstep {

inline constexpr std::int64_t kSchemaVersion = 4;

// Brings an empty or older database to kSchemaVersion. kInvalidArgument when it is of a newer
// Lockstep, kCorrupt when it is a database of something else.
Status migrate(Database& database);

// Raises the epoch by one, durably, and gives it. Every gateway that starts has its own.
Result<std::uint64_t> begin_epoch(Database& database);

}  // namespace lockstep
