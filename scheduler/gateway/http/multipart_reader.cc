#include "scheduler/gateway/http/multipart_reader.h"

#include <algorithm>
#include <optional>
#include <utility>
#include <vector>

#include "scheduler/gateway/http/request_head.h"

namespace lockstep {
namespace {

constexpr std::string_view kFormData = "multipart/form-data";
constexpr std::size_t kMaxBoundaryBytes = 70;  // RFC 2046, 5.1.1.
constexpr std::size_t kMaxNameBytes = 255;

Error malformed(const std::string& what) {
  return Error{ErrorCode::kInvalidArgument, "multipart: " + what};
}

std::string_view trim(std::string_view text) {
  while (!text.empty() && (text.front() == ' ' || text.front() == '\t')) text.remove_prefix(1);
  while (!text.empty() && (text.back() == ' ' || text.back() == '\t')) text.remove_suffix(1);
  return text;
}

// One parameter from the front of "; name=value; ...", quoted or not.
Result<HeaderField> take_parameter(std::string_view& rest) {
  rest = trim(rest.substr(1));
  const std::size_t equals = rest.find('=');
  if (equals == rest.npos) return malformed("a parameter without a value");
  HeaderField parameter{std::string(trim(rest.substr(0, equals))), {}};
  rest = trim(rest.substr(equals + 1));
  if (!rest.starts_with('"')) {
    const std::size_t end = std::min(rest.find(';'), rest.size());
    parameter.value = trim(rest.substr(0, end));
    rest.remove_prefix(end);
    return parameter;
  }
  std::size_t i = 1;
  for (; i < rest.size() && rest[i] != '"'; ++i) {
    if (rest[i] == '\\' && i + 1 < rest.size()) ++i;
    parameter.value += rest[i];
  }
  if (i >= rest.size()) return malformed("a quote that is not closed");
  rest = trim(rest.substr(i + 1));
  if (!rest.empty() && rest.front() != ';') return malformed("text behind a quote");
  return parameter;
}

// The parameters behind the first word of a field; each name once.
Result<std::vector<HeaderField>> parameters_of(std::string_view value) {
  std::vector<HeaderField> found;
  std::string_view rest = value.substr(std::min(value.find(';'), value.size()));
  while (!rest.empty()) {
    if (trim(rest.substr(1)).empty()) break;
    LOCKSTEP_TRY_ASSIGN(HeaderField parameter, take_parameter(rest), "parameters");
    for (const HeaderField& other : found) {
      if (equals_ignoring_case(other.name, parameter.name)) return malformed("a parameter twice");
    }
    found.push_back(std::move(parameter));
  }
  return found;
}

bool first_word_is(std::string_view value, std::string_view word) {
  return equals_ignoring_case(trim(value.substr(0, std::min(value.find(';'), value.size()))), word);
}

}  // namespace

Result<std::string> MultipartReader::boundary_of(std::string_view content_type) {
  if (!first_word_is(content_type, kFormData)) {
    return malformed("Content-Type: expected multipart/form-data");
  }
  LOCKSTEP_TRY_ASSIGN(const auto parameters, parameters_of(content_type), "Content-Type");
  for (const HeaderField& parameter : parameters) {
    if (!equals_ignoring_case(parameter.name, "boundary")) continue;
    const std::string& boundary = parameter.value;
    const bool is_plain =
        std::all_of(boundary.begin(), boundary.end(), [](char c) { return c > ' ' && c < '\x7F'; });
    if (!boundary.empty() && boundary.size() <= kMaxBoundaryBytes && is_plain) return boundary;
    break;
  }
  return malformed("Content-Type: expected a boundary of 1 to 70 visible characters");
}

Result<FormPart> parse_disposition(std::string_view value) {
  if (!first_word_is(value, "form-data")) return malformed("a part that is no form-data");
  LOCKSTEP_TRY_ASSIGN(const auto parameters, parameters_of(value), "Content-Disposition");
  FormPart part;
  for (const HeaderField& parameter : parameters) {
    if (parameter.value.size() > kMaxNameBytes) return malformed("a name is too long");
    if (equals_ignoring_case(parameter.name, "name")) part.name = parameter.value;
    if (equals_ignoring_case(parameter.name, "filename")) part.filename = parameter.value;
  }
  if (part.name.empty()) return malformed("a part without a name");
  return part;
}

// The first delimiter has no line in front of it; giving it one leaves a single case.
MultipartReader::MultipartReader(const std::string& boundary, Handler handler)
    : delimiter_("\r\n--" + boundary), handler_(std::move(handler)), buffer_("\r\n") {}

Status MultipartReader::push(std::string_view bytes) {
  buffer_ += bytes;
  while (true) {
    LOCKSTEP_TRY_ASSIGN(const bool has_moved, step(), "form");
    if (!has_moved) return {};
  }
}

Result<bool> MultipartReader::step() {
  switch (state_) {
    case State::kDelimiter:
      return read_delimiter();
    case State::kHeader:
      return read_header();
    case State::kBody:
      return read_body();
    case State::kDone:
      break;
  }
  if (buffer_.find_first_not_of("\r\n") != buffer_.npos) return malformed("text behind the end");
  buffer_.clear();
  return false;
}

// Requires: buffer_ starts where a delimiter must start.
Result<bool> MultipartReader::read_delimiter() {
  const std::size_t needed = delimiter_.size() + 2;
  const std::string_view head = std::string_view(buffer_).substr(0, delimiter_.size());
  if (!delimiter_.starts_with(head)) return malformed("the boundary is not where it must be");
  if (buffer_.size() < needed) return false;
  const std::string_view tail = std::string_view(buffer_).substr(delimiter_.size(), 2);
  if (tail != "\r\n" && tail != "--") return malformed("text behind a boundary");
  if (tail == "--" && is_first_) return malformed("no part");
  state_ = tail == "--" ? State::kDone : State::kHeader;
  // A header keeps its line break in front, so that an empty one is found like any other.
  buffer_.erase(0, tail == "--" ? needed : delimiter_.size());
  is_first_ = false;
  return true;
}

Result<bool> MultipartReader::read_header() {
  const std::size_t end = buffer_.find("\r\n\r\n");
  if (std::min(end, buffer_.size()) > kMaxPartHeaderBytes) return malformed("a header is too long");
  if (end == buffer_.npos) return false;
  if (++num_parts_ > kMaxParts) return malformed("too many parts");
  std::string_view rest = std::string_view(buffer_).substr(0, end);
  std::optional<FormPart> part;
  while (!rest.empty()) {
    rest.remove_prefix(2);
    const std::size_t line_end = std::min(rest.find("\r\n"), rest.size());
    const std::string_view line = rest.substr(0, line_end);
    rest.remove_prefix(line_end);
    const std::size_t colon = line.find(':');
    if (colon == line.npos) return malformed("a header field without a colon");
    const std::string_view name = line.substr(0, colon);
    if (equals_ignoring_case(name, "Content-Transfer-Encoding")) {
      return malformed("Content-Transfer-Encoding is not read");
    }
    if (!equals_ignoring_case(name, "Content-Disposition")) continue;
    if (part) return malformed("two dispositions");
    LOCKSTEP_TRY_ASSIGN(part, parse_disposition(trim(line.substr(colon + 1))), "part");
  }
  if (!part) return malformed("a part without Content-Disposition");
  LOCKSTEP_TRY(handler_.begin(*part), "part");
  // The break behind the header may be the one in front of the next delimiter.
  buffer_.erase(0, end + 2);
  state_ = State::kBody;
  is_body_start_ = true;
  return true;
}

Result<bool> MultipartReader::read_body() {
  const std::size_t skip = is_body_start_ ? 2 : 0;
  const std::size_t found = buffer_.find(delimiter_);
  if (found != buffer_.npos) {
    if (found > skip) {
      LOCKSTEP_TRY(handler_.data(std::string_view(buffer_).substr(skip, found - skip)), "part");
    }
    LOCKSTEP_TRY(handler_.end(), "part");
    buffer_.erase(0, found);
    state_ = State::kDelimiter;
    return true;
  }
  // What may begin a delimiter stays.
  const std::size_t kept = delimiter_.size() - 1;
  if (buffer_.size() <= skip + kept) return false;
  const std::size_t ready = buffer_.size() - kept;
  LOCKSTEP_TRY(handler_.data(std::string_view(buffer_).substr(skip, ready - skip)), "part");
  buffer_.erase(0, ready);
  is_body_start_ = false;
  return false;
}

Status MultipartReader::finish() const {
  if (state_ == State::kDone) return {};
  return malformed("the last part is not closed");
}

}  // namespace lockstep
