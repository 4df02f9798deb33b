// Canonical JSON: keys sorted bytewise, no insignificant whitespace, integers only (a float is
// written as its bits), UTF-8. The same value always gives the same bytes.
#pragma once

#include <nlohmann/json.hpp>
#include <string>
#include <string_view>

#include "base/result.h"

namespace lockstep {

using Json = nlohmann::json;  // std::map inside: keys are sorted.

// kInvalidArgument when the value holds a floating-point number or text that is no UTF-8.
Result<std::string> canonical_dump(const Json& value);

// Parses text from outside: at most `max_depth` levels, no duplicate keys, no trailing bytes.
// kCorrupt names the byte.
Result<Json> parse_json(std::string_view text, int max_depth = 32);

// Fields of an object from outside; kCorrupt names the key that is missing or of another type or
// range.
Result<const Json*> json_member(const Json& object, const char* key);
Result<std::int64_t> json_integer(const Json& object, const char* key, std::int64_t min,
                                  std::int64_t max);
Result<std::string> json_text(const Json& object, const char* key);
Result<bool> json_flag(const Json& object, const char* key);

}  // namespace lockstep
