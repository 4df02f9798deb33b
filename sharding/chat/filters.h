// The filters: `value | name(arguments)`.
#pragma once

#include <string_view>

#include "sharding/chat/value.h"

namespace lockstep::chat {

class Renderer;

using FilterFunction = Result<Value> (*)(Renderer& renderer, const Value& self,
                                         const Arguments& arguments);

struct FilterEntry {
  std::string_view name;
  FilterFunction function;
  // Its errors appear only when its items are asked for.
  bool is_lazy = false;
};

bool has_filter(std::string_view name);
Result<Value> apply_filter(Renderer& renderer, std::string_view name, const Value& self,
                           const Arguments& arguments);

}  // namespace lockstep::chat
