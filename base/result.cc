#include "base/result.h"

namespace lockstep {

std::string_view error_code_name(ErrorCode code) {
  switch (code) {
    case ErrorCode::kInvalidArgument:
      return "invalid argument";
    case ErrorCode::kNotFound:
      return "not found";
    case ErrorCode::kCorrupt:
      return "corrupt";
    case ErrorCode::kUnavailable:
      return "unavailable";
    case ErrorCode::kTimeout:
      return "timeout";
    case ErrorCode::kExhausted:
      return "exhausted";
    case ErrorCode::kIo:
      return "input/output error";
    case ErrorCode::kPermission:
      return "permission denied";
    case ErrorCode::kAborted:
      return "aborted";
    case ErrorCode::kInternal:
      return "internal error";
  }
  return "unknown error";
}

int exit_status(ErrorCode code) {
  switch (code) {
    case ErrorCode::kInvalidArgument:
      return 64;
    case ErrorCode::kNotFound:
      return 66;
    case ErrorCode::kCorrupt:
      return 65;
    case ErrorCode::kUnavailable:
      return 69;
    case ErrorCode::kTimeout:
    case ErrorCode::kExhausted:
      return 75;
    case ErrorCode::kIo:
      return 74;
    case ErrorCode::kPermission:
      return 77;
    case ErrorCode::kAborted:
      return 130;
    case ErrorCode::kInternal:
      return 70;
  }
  return 70;
}

Error Error::with_context(std::string_view context) && {
  std::string text(context);
  text.append(": ").append(message);
  return Error{code, std::move(text)};
}

}  // namespace lockstep
