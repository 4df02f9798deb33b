// The arguments of a call, matched with the names of parameters.
#pragma once

#include <array>
#include <cstdint>
#include <initializer_list>
#include <optional>
#include <string>
#include <string_view>

#include "sharding/chat/value.h"

namespace lockstep::chat {

class ArgumentReader {
 public:
  static constexpr std::size_t kMaxParameters = 8;

  // kInvalidArgument for too many arguments, unknown names and an argument given twice; `function`
  // is for the message. Requires: at most kMaxParameters names.
  static Result<ArgumentReader> match(std::string_view function, const Arguments& arguments,
                                      std::initializer_list<std::string_view> parameters);

  // The argument, or null when it was not given.
  const Value* get(std::size_t index) const { return values_[index]; }
  bool has(std::size_t index) const { return values_[index] != nullptr; }
  // kInvalidArgument when it is missing.
  Result<Value> require(std::size_t index) const;
  Value get_or(std::size_t index, const Value& fallback) const {
    return has(index) ? *values_[index] : fallback;
  }
  bool flag(std::size_t index, bool fallback) const {
    return has(index) ? is_truthy(*values_[index]) : fallback;
  }
  // kInvalidArgument when it is no integer or text.
  Result<std::int64_t> integer(std::size_t index, std::int64_t fallback) const;
  Result<std::optional<TextPtr>> text(std::size_t index) const;

 private:
  explicit ArgumentReader(std::string_view function) : function_(function) {}

  std::string function_;
  std::array<const Value*, kMaxParameters> values_{};
};

}  // namespace lockstep::chat
