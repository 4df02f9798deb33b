// Every error code, in the order of its number in messages between our processes: append only.
#pragma once

#include <array>

#include "base/result.h"

namespace lockstep {

inline constexpr std::array kErrorCodes = {ErrorCode::kInvalidArgument,
                                           ErrorCode::kNotFound,
                                           ErrorCode::kCorrupt,
                                           ErrorCode::kUnavailable,
                                           ErrorCode::kTimeout,
                                           ErrorCode::kExhausted,
                                           ErrorCode::kIo,
                                           ErrorCode::kPermission,
                                           ErrorCode::kAborted,
                                           ErrorCode::kInternal};

}  // namespace lockstep
