// Escapes in string literals of templates, with Python's meaning.
#pragma once

#include <string>
#include <string_view>

#include "base/result.h"

namespace lockstep::chat {

// `body` is what stands between the quotes. An unknown escape stays as it is. kInvalidArgument for
// escapes that are cut short or name no character.
Result<std::string> unescape(std::string_view body);

}  // namespace lockstep::chat
