// Tokens to a tree.
#pragma once

#include <string_view>

#include "base/result.h"
#include "sharding/chat/ast.h"

namespace lockstep::chat {

// kInvalidArgument names the line and the construct; kExhausted when constructs are nested deeper
// than `max_depth`. Requires: valid UTF-8.
Result<Ast> parse_template(std::string_view source, int max_depth);

}  // namespace lockstep::chat
