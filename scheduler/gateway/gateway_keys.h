// What a gateway keeps in its state directory so that replicas find it again: its key pair and
// where it listened.
#pragma once

#include <cstdint>
#include <string>

#include "base/curve_key.h"
#include "base/random.h"
#include "base/result.h"

namespace lockstep {

// The key pair in the secret file `path`; made, when there is none.
Result<CurveKeyPair> read_or_make_gateway_keys(const std::string& path, Random& random);

// Remembers an endpoint in a file.
class EndpointFile {
 public:
  explicit EndpointFile(std::string path) : path_(std::move(path)) {}

  // The endpoint to listen at: `port`, or for 0 the port that is remembered for this host.
  std::string choose(const std::string& host, std::uint16_t port) const;
  Status write(const std::string& endpoint) const;

 private:
  std::string path_;
};

}  // namespace lockstep
