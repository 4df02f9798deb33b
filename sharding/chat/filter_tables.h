// The filters by what they work on; filters.cc puts them into one table.
#pragma once

#include <span>

#include "sharding/chat/filters.h"

namespace lockstep::chat {

std::span<const FilterEntry> text_filters();
std::span<const FilterEntry> number_filters();
std::span<const FilterEntry> sequence_filters();
std::span<const FilterEntry> selection_filters();

// The value at a path such as "user.name" or "0", as `attribute=` names it.
Result<Value> value_at_path(Renderer& renderer, const Value& item, const Value& path);
// What to compare when case does not matter: text in lower case, anything else as it is.
Result<Value> without_case(Renderer& renderer, const Value& value);

}  // namespace lockstep::chat
