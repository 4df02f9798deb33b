// What one rendering may still use. Every loop of the interpreter takes from here, so that its
// work, its memory and its recursion are bounded whatever the template says.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>

#include "base/result.h"

namespace lockstep::chat {

class Budget {
 public:
  Budget(std::int64_t max_steps, std::size_t max_bytes) : steps_(max_steps), bytes_(max_bytes) {}

  // kExhausted when fewer than `count` steps are left.
  Status take_steps(std::size_t count) {
    if (steps_ < 0 || count > static_cast<std::uint64_t>(steps_)) {
      steps_ = 0;
      return Error{ErrorCode::kExhausted,
                   "the template needs more than max_steps steps; shorten it or the messages"};
    }
    steps_ -= static_cast<std::int64_t>(count);
    return Status();
  }

  // Steps for reading `bytes` bytes of text: searching a long text is work too.
  Status take_scan(std::size_t bytes) { return take_steps(1 + bytes / 256); }

  // False, and nothing taken, when fewer than `count` bytes are left.
  bool take_bytes(std::size_t count) {
    if (count > bytes_) return false;
    bytes_ -= count;
    return true;
  }
  std::size_t bytes_left() const { return bytes_; }

  static Error out_of_bytes() {
    return Error{ErrorCode::kExhausted,
                 "the template makes more text than max_output_bytes; shorten it or the messages"};
  }

 private:
  std::int64_t steps_;
  std::size_t bytes_;
};

}  // namespace lockstep::chat
