// The filters that order values: sort, dictsort, unique, min and max.
#pragma once

#include "sharding/chat/value.h"

namespace lockstep::chat {

class Renderer;

Result<Value> sort_filter(Renderer& renderer, const Value& self, const Arguments& arguments);
Result<Value> dictsort_filter(Renderer& renderer, const Value& self, const Arguments& arguments);
Result<Value> unique_filter(Renderer& renderer, const Value& self, const Arguments& arguments);
Result<Value> min_filter(Renderer& renderer, const Value& self, const Arguments& arguments);
Result<Value> max_filter(Renderer& renderer, const Value& self, const Arguments& arguments);

}  // namespace lockstep::chat
