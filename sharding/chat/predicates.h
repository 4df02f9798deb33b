// The tests of the template language: `value is name(arguments)`.
#pragma once

#include <string_view>

#include "sharding/chat/value.h"

namespace lockstep::chat {

class Renderer;

bool has_predicate(std::string_view name);
Result<bool> apply_predicate(Renderer& renderer, std::string_view name, const Value& self,
                             const Arguments& arguments);

}  // namespace lockstep::chat
