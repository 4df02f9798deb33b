// Values as Python writes them: str(), repr() and json.dumps().
#pragma once

#include <optional>
#include <string>

#include "sharding/chat/budget.h"
#include "sharding/chat/value.h"

namespace lockstep::chat {

// str(value), appended with its marks. Undefined is "".
Status print_str(const Value& value, TextBuilder* out);
// repr(value).
Status print_repr(const Value& value, TextBuilder* out);
// The shortest digits that give the same number, as repr() of a float.
std::string float_repr(double value);
// The same in ASCII, for `value|tojson`.
struct JsonStyle {
  std::optional<std::string> indent;
  std::string item_separator = ", ";
  std::string key_separator = ": ";
  bool ensure_ascii = false;
  bool sort_keys = false;
};
// kInvalidArgument for what JSON cannot hold.
Result<TextPtr> to_json(Budget& budget, const Value& value, const JsonStyle& style);

}  // namespace lockstep::chat
