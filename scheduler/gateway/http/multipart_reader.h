// multipart/form-data (RFC 7578) as it comes: bounded, nothing kept but what a part's header and a
// delimiter need. Pure.
#pragma once

#include <functional>
#include <string>
#include <string_view>

#include "base/result.h"

namespace lockstep {

struct FormPart {
  std::string name;
  std::string filename;  // Empty: a plain value.
};

class MultipartReader {
 public:
  static constexpr std::size_t kMaxPartHeaderBytes = 4 << 10;
  static constexpr int kMaxParts = 16;

  // Each may refuse with an error, which push() returns.
  struct Handler {
    std::function<Status(const FormPart&)> begin;
    std::function<Status(std::string_view)> data;
    std::function<Status()> end;
  };

  // The boundary of a Content-Type; kInvalidArgument unless it is multipart/form-data with one.
  static Result<std::string> boundary_of(std::string_view content_type);

  MultipartReader(const std::string& boundary, Handler handler);

  // kInvalidArgument says what is malformed or too long. Not to be called after an error.
  Status push(std::string_view bytes);
  // kInvalidArgument when the last part is not closed.
  Status finish() const;

 private:
  enum class State { kDelimiter, kHeader, kBody, kDone };

  Result<bool> step();
  Result<bool> read_delimiter();
  Result<bool> read_header();
  Result<bool> read_body();

  std::string delimiter_;  // "\r\n--boundary"
  Handler handler_;
  std::string buffer_;
  State state_ = State::kDelimiter;
  bool is_first_ = true;
  bool is_body_start_ = false;  // buffer_ starts with the line break behind the header.
  int num_parts_ = 0;
};

// The name and file name of a Content-Disposition of a part; kInvalidArgument.
Result<FormPart> parse_disposition(std::string_view value);

}  // namespace lockstep
