#include "sharding/chat/filters.h"

#include "sharding/chat/filter_tables.h"
#include "sharding/chat/renderer.h"
#include "sharding/chat/try.h"

namespace lockstep::chat {
namespace {

const FilterEntry* find_filter(std::string_view name) {
  for (const auto table :
       {text_filters(), number_filters(), sequence_filters(), selection_filters()}) {
    for (const FilterEntry& entry : table) {
      if (entry.name == name) return &entry;
    }
  }
  return nullptr;
}

}  // namespace

bool has_filter(std::string_view name) { return find_filter(name) != nullptr; }

Result<Value> apply_filter(Renderer& renderer, std::string_view name, const Value& self,
                           const Arguments& arguments) {
  const FilterEntry* filter = find_filter(name);
  if (filter == nullptr) return wrong("there is no filter '" + std::string(name) + "'");
  auto value = filter->function(renderer, self, arguments);
  if (!filter->is_lazy || value.ok() || value.error().code != ErrorCode::kInvalidArgument) {
    return value;
  }
  auto* generator = renderer.make_object<Generator>();
  generator->failure = std::move(value).error();
  return Value(generator);
}

}  // namespace lockstep::chat
