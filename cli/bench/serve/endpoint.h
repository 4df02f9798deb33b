// Where an HTTP request goes.
#pragma once

#include <string>

#include "base/result.h"

namespace lockstep {

struct Endpoint {
  bool tls = false;
  std::string host;  // A name or an address, IPv6 without brackets.
  int port = 0;
  std::string path;  // Begins with '/'.

  // "host:port", as in a Host header; the scheme's own port is left out.
  std::string authority() const;
};

// From "http://127.0.0.1:8000/prefix" and "/v1/completions". kInvalidArgument: another scheme, a
// user, a query, or what no URL may hold.
Result<Endpoint> parse_endpoint(const std::string& base_url, const std::string& path);

}  // namespace lockstep
