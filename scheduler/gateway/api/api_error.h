// An error as OpenAI's API tells it: a status and a JSON body whose message names the field.
#pragma once

#include <string>
#include <string_view>
#include <utility>
#include <variant>

#include "base/result.h"

namespace lockstep {

struct ApiError {
  int status = 400;     // Of HTTP.
  std::string message;  // "temperature: expected a number in [0, 2], got 3"
  std::string param;    // The field; empty: none.
  std::string type = "invalid_request_error";
  std::string code;       // For programs; empty: none.
  int retry_after_s = 0;  // > 0: when to ask again.
};

// A value, or what to tell the client.
template <typename T>
using OrApiError = std::variant<T, ApiError>;

// An error in the field `param` of a request: status 400, its message starts with the field.
ApiError field_error(std::string_view param, std::string_view reason);

// What a client is told of an operating error behind the API.
ApiError to_api_error(const Error& error);

// {"error": {"message", "type", "param", "code"}}
std::string error_body(const ApiError& error);

}  // namespace lockstep
