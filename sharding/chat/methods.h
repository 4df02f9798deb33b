// Methods of text, lists, dicts and the small objects of the interpreter. What would change a list
// or dict is not there, as in the sandbox of Hugging Face.
#pragma once

#include <string_view>

#include "sharding/chat/value.h"

namespace lockstep::chat {

class Renderer;

bool has_text_method(std::string_view name);
Result<Value> call_text_method(Renderer& renderer, const TextPtr& self, std::string_view name,
                               const Arguments& arguments);

enum class MethodAccess { kNone, kAllowed, kForbidden };

// Whether the value has a method of this name; one that is forbidden looks undefined.
MethodAccess container_method(const Value& self, std::string_view name);
Result<Value> call_container_method(Renderer& renderer, const Value& self, std::string_view name,
                                    const Arguments& arguments);

}  // namespace lockstep::chat
