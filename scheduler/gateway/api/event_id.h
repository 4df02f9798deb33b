// Where a client is in a streamed answer, as the id of a server-sent event: the request, and for
// each choice the number of tokens that were delivered, with an "e" once its end was.
//
//   01935f0c7f3b7c3a8d2e5b1f00c0ffee:12,7e
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/request_id.h"

namespace lockstep {

struct EventId {
  struct Choice {
    std::uint32_t num_tokens = 0;
    bool ended = false;
    bool operator==(const Choice&) const = default;
  };

  RequestId request;
  std::vector<Choice> choices;

  std::string text() const;
  // At most 128 choices. kInvalidArgument says what is wrong.
  static Result<EventId> parse(std::string_view text);
};

}  // namespace lockstep
