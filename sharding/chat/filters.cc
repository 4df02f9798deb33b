#include "sharding/chat/filters.h"

#include "sharding/chat/filter_tables.h"
#include "sharding/chat/try.h"

namespace lockstep::chat {
namespace {

FilterFunction find_filter(std::string_view name) {
  for (const auto table :
       {text_filters(), number_filters(), sequence_filters(), selection_filters()}) {
    for (const FilterEntry& entry : table) {
      if (entry.name == name) return entry.function;
    }
  }
  return nullptr;
}

}  // namespace

bool has_filter(std::string_view name) { return find_filter(name) != nullptr; }

Result<Value> apply_filter(Renderer& renderer, std::string_view name, const Value& self,
                           const Arguments& arguments) {
  const FilterFunction function = find_filter(name);
  if (function == nullptr) return wrong("there is no filter '" + std::string(name) + "'");
  return function(renderer, self, arguments);
}

}  // namespace lockstep::chat
