#include "base/sse_reader.h"

#include <charconv>

namespace lockstep {
namespace {

constexpr std::string_view kByteOrderMark = "\xEF\xBB\xBF";

}  // namespace

SseReader::SseReader(std::size_t max_event_bytes) : max_event_bytes_(max_event_bytes) {}

Status SseReader::push(std::string_view bytes, const Sink& sink) {
  while (!bytes.empty()) {
    if (skip_lf_) {
      skip_lf_ = false;
      if (bytes.front() == '\n') {
        bytes.remove_prefix(1);
        continue;
      }
    }
    const std::size_t end = bytes.find_first_of("\r\n");
    LOCKSTEP_TRY(append(bytes.substr(0, end)), "server-sent events");
    if (end == std::string_view::npos) break;
    skip_lf_ = bytes[end] == '\r';
    LOCKSTEP_TRY(take_line(sink), "server-sent events");
    bytes.remove_prefix(end + 1);
  }
  return {};
}

Status SseReader::append(std::string_view bytes) {
  if (exhausted_ || bytes.size() > max_event_bytes_ - line_.size()) {
    exhausted_ = true;
    return Error{ErrorCode::kExhausted,
                 "a line of more than " + std::to_string(max_event_bytes_) + " bytes"};
  }
  line_ += bytes;
  return {};
}

Status SseReader::take_line(const Sink& sink) {
  std::string_view line = line_;
  if (at_start_ && line.starts_with(kByteOrderMark)) line.remove_prefix(kByteOrderMark.size());
  at_start_ = false;
  Status status;
  if (line.empty()) {
    dispatch(sink);
  } else if (line.front() != ':') {
    const std::size_t colon = line.find(':');
    std::string_view value =
        colon == std::string_view::npos ? std::string_view() : line.substr(colon + 1);
    if (value.starts_with(' ')) value.remove_prefix(1);
    status = take_field(line.substr(0, colon), value);
  }
  line_.clear();
  return status;
}

Status SseReader::take_field(std::string_view name, std::string_view value) {
  if (name == "data") {
    if (event_.data.size() + value.size() + 1 > max_event_bytes_) {
      exhausted_ = true;
      return Error{ErrorCode::kExhausted,
                   "an event of more than " + std::to_string(max_event_bytes_) + " bytes"};
    }
    if (has_data_) event_.data += '\n';
    event_.data += value;
    has_data_ = true;
  } else if (name == "event") {
    event_.type = value;
  } else if (name == "id") {
    if (value.find('\0') == std::string_view::npos) event_.id = value;
  } else if (name == "retry") {
    std::uint64_t retry_ms = 0;
    const auto [end, error] = std::from_chars(value.begin(), value.end(), retry_ms);
    if (error == std::errc() && end == value.end()) retry_ms_ = retry_ms;
  }
  return {};
}

void SseReader::dispatch(const Sink& sink) {
  last_event_id_ = event_.id;
  if (has_data_) {
    if (event_.type.empty()) event_.type = "message";
    sink(event_);
  }
  event_.type.clear();
  event_.data.clear();
  has_data_ = false;
}

}  // namespace lockstep
