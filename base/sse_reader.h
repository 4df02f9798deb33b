// Server-sent events: bytes in, events out, as the WHATWG standard (HTML, section 9.2) reads them.
// Lines end with LF, CR or CRLF, wherever the bytes are cut; comments are skipped. Whoever sends
// without end meets a limit.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>

#include "base/result.h"

namespace lockstep {

struct SseEvent {
  std::string type;  // "message" where the sender names none.
  std::string data;  // Several `data` lines are joined by LF.
  std::string id;    // The last id that was sent, with this event or before it.
};

// One thread.
class SseReader {
 public:
  // Of a line, and of all that one event holds.
  static constexpr std::size_t kDefaultMaxEventBytes = 1 << 20;

  explicit SseReader(std::size_t max_event_bytes = kDefaultMaxEventBytes);

  // Calls sink(event) for each event that is complete now; one without data is none. What follows
  // the last empty line waits, and is no event if nothing more comes. kExhausted names the limit;
  // the stream cannot be read on from there, so every later call fails, too.
  using Sink = std::function<void(const SseEvent& event)>;
  Status push(std::string_view bytes, const Sink& sink);

  // Where to go on from (`Last-Event-ID`) after a connection is lost: the id of the last event.
  const std::string& last_event_id() const { return last_event_id_; }
  // How long the sender wants a client to wait before it connects again; empty until said.
  std::optional<std::uint64_t> retry_ms() const { return retry_ms_; }

 private:
  Status append(std::string_view bytes);
  Status take_line(const Sink& sink);
  Status take_field(std::string_view name, std::string_view value);
  void dispatch(const Sink& sink);

  std::size_t max_event_bytes_;
  std::string line_;  // What has come of the line so far.
  SseEvent event_;
  bool has_data_ = false;
  std::string last_event_id_;
  std::optional<std::uint64_t> retry_ms_;
  bool at_start_ = true;  // A byte order mark may still come.
  bool skip_lf_ = false;  // The last byte was the CR that ended a line.
  bool exhausted_ = false;
};

}  // namespace lockstep
