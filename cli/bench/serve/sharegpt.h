// Reads the ShareGPT file, hundreds of megabytes of JSON, without holding it as a tree.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace lockstep {

struct Conversation {
  std::string question;  // The value of the first turn.
  std::string answer;    // Of the second.
};

// [{"conversations": [{"value": "..."}, {"value": "..."}, ...]}, ...]; conversations of fewer than
// two turns are left out. kCorrupt names the byte.
Result<std::vector<Conversation>> read_sharegpt(std::string_view json);

}  // namespace lockstep
