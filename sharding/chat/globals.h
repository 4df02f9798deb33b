// The functions that every template finds: range, namespace, dict, cycler, joiner, raise_exception;
// and strftime_now where the variables hold a time.
#pragma once

#include <span>
#include <string_view>

#include "sharding/chat/renderer.h"

namespace lockstep::chat {

struct GlobalFunction {
  std::string_view name;
  Function::Body body;
};

std::span<const GlobalFunction> global_functions();

}  // namespace lockstep::chat
