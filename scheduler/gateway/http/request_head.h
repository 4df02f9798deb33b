// The head of an HTTP request, checked: what a service may rely on.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/request_id.h"

namespace lockstep {

struct HeaderField {
  std::string name;
  std::string value;
};

struct RequestHead {
  RequestId id;        // Given by the server.
  std::string method;  // "GET"
  std::string target;  // As sent: "/v1/jobs/7?x=1"
  std::string path;    // Percent-decoded: "/v1/jobs/7"
  std::string query;   // As sent: "x=1"
  int version = 11;    // 10 or 11.
  bool keep_alive = false;
  bool chunked = false;
  std::uint64_t content_length = 0;
  bool expects_continue = false;
  std::vector<HeaderField> fields;  // In order; at most kMaxHeaderFields.

  // The first field of that name, whatever its case; null: none. Names that must be unique are.
  const std::string* find(std::string_view name) const;
  bool has_body() const { return chunked || content_length > 0; }
};

bool equals_ignoring_case(std::string_view a, std::string_view b);

// "%41" to "A"; nothing for a malformed escape or one that gives a control character.
std::optional<std::string> percent_decode(std::string_view text);

// The value of `name` in a query ("a=1&b=2"), decoded; nothing when it is absent or malformed.
std::optional<std::string> query_value(std::string_view query, std::string_view name);

}  // namespace lockstep
