// Small files that hold a secret: for their owner alone (mode 0600).
#pragma once

#include <string>
#include <string_view>

#include "base/result.h"

namespace lockstep {

inline constexpr std::size_t kMaxSecretFileBytes = 4096;

// Creates the file durably. kInvalidArgument when it exists already: a secret is never overwritten.
Status write_secret_file(const std::string& path, std::string_view text);

// The whole file. kPermission unless it is a regular file of this user that nobody else may read or
// write; kExhausted beyond kMaxSecretFileBytes.
Result<std::string> read_secret_file(const std::string& path);

}  // namespace lockstep
