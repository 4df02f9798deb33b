#include "scheduler/gateway/api/api_error.h"

#include <nlohmann/json.hpp>

namespace lockstep {

ApiError field_error(std::string_view param, std::string_view reason) {
  ApiError error;
  error.message = std::string(param) + ": " + std::string(reason);
  error.param = param;
  return error;
}

ApiError to_api_error(const Error& error) {
  ApiError api;
  api.message = error.message;
  switch (error.code) {
    case ErrorCode::kInvalidArgument:
    case ErrorCode::kCorrupt:
      break;
    case ErrorCode::kNotFound:
      api.status = 404;
      api.code = "not_found";
      break;
    case ErrorCode::kPermission:
      api.status = 403;
      api.type = "permission_error";
      break;
    case ErrorCode::kAborted:
      api.status = 410;
      api.code = "gone";
      break;
    case ErrorCode::kExhausted:
    case ErrorCode::kUnavailable:
      api.status = 503;
      api.type = "service_unavailable_error";
      api.code = error.code == ErrorCode::kExhausted ? "overloaded" : "unavailable";
      api.retry_after_s = error.code == ErrorCode::kExhausted ? 1 : 5;
      break;
    case ErrorCode::kTimeout:
      api.status = 504;
      api.type = "server_error";
      break;
    case ErrorCode::kIo:
    case ErrorCode::kInternal:
      api.status = 500;
      api.type = "server_error";
      break;
  }
  return api;
}

std::string error_body(const ApiError& error) {
  const auto text_or_null = [](const std::string& text) {
    return text.empty() ? nlohmann::ordered_json() : nlohmann::ordered_json(text);
  };
  nlohmann::ordered_json body;
  body["error"]["message"] = error.message;
  body["error"]["type"] = error.type;
  body["error"]["param"] = text_or_null(error.param);
  body["error"]["code"] = text_or_null(error.code);
  return body.dump(-1, ' ', false, nlohmann::ordered_json::error_handler_t::replace);
}

}  // namespace lockstep
