// JSON from outside to values of the template language.
#pragma once

#include <nlohmann/json.hpp>

#include "base/result.h"
#include "sharding/chat/value.h"

namespace lockstep::chat {

// The variables of a rendering. All text and numbers in it are untrusted, but the text under
// "bos_token" and "eos_token", and roles of messages that are one of the well-known words.
// kInvalidArgument when it is no object or an integer does not fit 64 bits, kExhausted when it is
// nested too deep.
Result<DictPtr> import_variables(const nlohmann::ordered_json& variables);

}  // namespace lockstep::chat
