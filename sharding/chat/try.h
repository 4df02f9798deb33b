// Passing an error on unchanged: the interpreter has no context to add at each level, the line is
// added once.
#pragma once

#include "base/result.h"

#define CHAT_TRY(expression)                 \
  do {                                       \
    auto chat_status = (expression);         \
    if (!chat_status.ok()) [[unlikely]]      \
      return std::move(chat_status).error(); \
  } while (false)

#define CHAT_ASSIGN(declaration, expression) \
  CHAT_ASSIGN_INNER(LOCKSTEP_CONCAT(chat_result_, __LINE__), declaration, expression)
#define CHAT_ASSIGN_INNER(name, declaration, expression) \
  auto name = (expression);                              \
  if (!name.ok()) [[unlikely]]                           \
    return std::move(name).error();                      \
  declaration = std::move(name).value()

namespace lockstep::chat {

// The template, or a value given to it, is wrong.
inline Error wrong(std::string message) {
  return Error{ErrorCode::kInvalidArgument, std::move(message)};
}

}  // namespace lockstep::chat
