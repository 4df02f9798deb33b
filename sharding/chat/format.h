// Python's two ways to format: `"%s" % values` and `"{}".format(values)`. Marks are kept.
#pragma once

#include "sharding/chat/budget.h"
#include "sharding/chat/value.h"

namespace lockstep::chat {

class Renderer;

// `values` is a tuple, a dict for %(name)s, or the one value.
Result<Value> format_percent(Budget& budget, const Text& format, const Value& values);
Result<Value> format_braces(Renderer& renderer, const Text& format, const Arguments& arguments);

}  // namespace lockstep::chat
