#include "sharding/chat/argument_reader.h"

#include <algorithm>

#include "base/check.h"
#include "sharding/chat/try.h"

namespace lockstep::chat {

Result<ArgumentReader> ArgumentReader::match(std::string_view function, const Arguments& arguments,
                                             std::initializer_list<std::string_view> parameters) {
  CHECK(parameters.size() <= kMaxParameters, "too many parameters for an ArgumentReader");
  ArgumentReader out(function);
  if (arguments.positional.size() > parameters.size()) {
    return wrong(out.function_ + " takes at most " + std::to_string(parameters.size()) +
                 " arguments");
  }
  for (std::size_t i = 0; i < arguments.positional.size(); ++i) {
    out.values_[i] = &arguments.positional[i];
  }
  for (const auto& [name, value] : arguments.named) {
    const auto* found = std::find(parameters.begin(), parameters.end(), name);
    if (found == parameters.end()) return wrong(out.function_ + " has no parameter '" + name + "'");
    const auto index = static_cast<std::size_t>(found - parameters.begin());
    if (out.values_[index] != nullptr) {
      return wrong(out.function_ + ": argument '" + name + "' is given twice");
    }
    out.values_[index] = &value;
  }
  return out;
}

Result<Value> ArgumentReader::require(std::size_t index) const {
  if (has(index)) return *values_[index];
  return wrong(function_ + ": argument " + std::to_string(index + 1) + " is missing");
}

Result<std::int64_t> ArgumentReader::integer(std::size_t index, std::int64_t fallback) const {
  if (!has(index)) return fallback;
  if (values_[index]->is_integral()) return values_[index]->integer();
  return wrong(function_ + ": argument " + std::to_string(index + 1) + " must be an integer, not " +
               std::string(type_name(*values_[index])));
}

Result<std::optional<TextPtr>> ArgumentReader::text(std::size_t index) const {
  if (!has(index) || values_[index]->is_none()) return std::optional<TextPtr>();
  if (values_[index]->is(Kind::kText)) return std::optional<TextPtr>(values_[index]->text_ptr());
  return wrong(function_ + ": argument " + std::to_string(index + 1) + " must be a str, not " +
               std::string(type_name(*values_[index])));
}

}  // namespace lockstep::chat
