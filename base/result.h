// Operating errors as values. `Status` and `Result<T>` carry a code that says what the caller can
// do and a message that says what happened, outermost context first ("load rank 3: model.h5: hash
// differs"). (std::expected is C++23; nvcc stops at C++20.)
#pragma once

#include <string>
#include <string_view>
#include <utility>
#include <variant>

#include "base/check.h"

namespace lockstep {

// What the caller can do about it.
enum class ErrorCode {
  kInvalidArgument,  // Ask for something else.
  kNotFound,         // Name something that exists.
  kCorrupt,          // Replace the data.
  kUnavailable,      // Try again later, or elsewhere.
  kTimeout,          // Try again, with more time.
  kExhausted,        // Free or add a resource (memory, disk, a limit).
  kIo,               // Look at the device or file system.
  kPermission,       // Ask for access.
  kAborted,          // Nothing: it was cancelled.
  kInternal,         // Report a bug.
};

// "invalid argument", "corrupt", ...
std::string_view error_code_name(ErrorCode code);

// The process exit status for an error (sysexits): 64 usage, 65 bad data, 69 unavailable, 70
// internal, 74 I/O, 75 try again, 77 permission.
int exit_status(ErrorCode code);

struct [[nodiscard]] Error {
  ErrorCode code;
  std::string message;

  // The same error with "context: " in front of its message.
  Error with_context(std::string_view context) &&;
};

class [[nodiscard]] Status {
 public:
  Status() = default;  // Success.
  Status(Error error) : error_(std::move(error)), ok_(false) {}

  bool ok() const { return ok_; }
  // Requires: !ok().
  const Error& error() const& {
    CHECK(!ok_, "error() of a successful Status");
    return error_;
  }
  Error&& error() && {
    CHECK(!ok_, "error() of a successful Status");
    return std::move(error_);
  }

 private:
  Error error_{ErrorCode::kInternal, {}};
  bool ok_ = true;
};

template <typename T>
class [[nodiscard]] Result {
 public:
  Result(T value) : state_(std::in_place_index<0>, std::move(value)) {}
  Result(Error error) : state_(std::in_place_index<1>, std::move(error)) {}

  bool ok() const { return state_.index() == 0; }
  // Requires: ok().
  const T& value() const& {
    require_value();
    return std::get<0>(state_);
  }
  T& value() & {
    require_value();
    return std::get<0>(state_);
  }
  T&& value() && {
    require_value();
    return std::get<0>(std::move(state_));
  }
  // Requires: !ok().
  const Error& error() const& {
    CHECK(!ok(), "error() of a successful Result");
    return std::get<1>(state_);
  }
  Error&& error() && {
    CHECK(!ok(), "error() of a successful Result");
    return std::get<1>(std::move(state_));
  }

 private:
  void require_value() const {
    if (!ok()) {
      check_failed(__FILE__, __LINE__, "Result::ok()", std::get<1>(state_).message.c_str());
    }
  }

  std::variant<T, Error> state_;
};

}  // namespace lockstep

#define LOCKSTEP_CONCAT_INNER(a, b) a##b
#define LOCKSTEP_CONCAT(a, b) LOCKSTEP_CONCAT_INNER(a, b)

// Returns the error of `expression` (a Status or Result) with `context` in front, if it has one.
#define LOCKSTEP_TRY(expression, context)                              \
  do {                                                                 \
    auto lockstep_status = (expression);                               \
    if (!lockstep_status.ok()) {                                       \
      return std::move(lockstep_status).error().with_context(context); \
    }                                                                  \
  } while (false)

// Declares `declaration` with the value of `expression`, or returns its error with `context` in
// front.
#define LOCKSTEP_TRY_ASSIGN(declaration, expression, context)                                     \
  LOCKSTEP_TRY_ASSIGN_INNER(LOCKSTEP_CONCAT(lockstep_result_, __LINE__), declaration, expression, \
                            context)
#define LOCKSTEP_TRY_ASSIGN_INNER(name, declaration, expression, context) \
  auto name = (expression);                                               \
  if (!name.ok()) return std::move(name).error().with_context(context);   \
  declaration = std::move(name).value()
