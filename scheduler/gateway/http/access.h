// Who may do what: keys, scopes, rates; and who may ask at all where no key is needed.
#pragma once

#include <cstdint>
#include <map>
#include <mutex>
#include <string>
#include <string_view>

#include "base/result.h"
#include "scheduler/gateway/api/api_error.h"
#include "scheduler/gateway/http/request_head.h"
#include "scheduler/gateway/key_checker.h"

namespace lockstep {

struct ListenAddress {
  std::string host = "127.0.0.1";  // An IP address, never a wildcard.
  std::uint16_t port = 8000;       // 0: any free one.
};

struct AccessOptions {
  bool no_auth = false;  // Everyone on this machine is tenant "local".
  bool has_tls = false;
  bool insecure_http = false;  // Keys may cross a network in the clear.
};

// "127.0.0.1", "::1", ...; false for what is no IP address.
bool is_loopback(std::string_view host);

// Refuses what would give the service away: a wildcard, --no-auth off the loopback, keys in the
// clear.
Status check_access_options(const ListenAddress& listen, const AccessOptions& options);

// Whether a value of Host, or the rest of an Origin behind "http://", names this machine's
// loopback.
bool names_loopback(std::string_view authority);

class Access {
 public:
  // `keys` must outlive this; null with no_auth only.
  Access(const AccessOptions& options, const KeyChecker* keys);

  // 401, 403 or the principal. `scope` 0: everyone, but with no_auth Host and Origin are checked on
  // every route, so that no page of a browser and no name bound to 127.0.0.1 gets in.
  OrApiError<Principal> check(const RequestHead& head, std::uint32_t scope, std::int64_t unix_ms);

  // Takes `tokens` from the key's minute; 429 with the seconds to wait when it is used up. What is
  // charged behind the first token may overdraw.
  std::optional<ApiError> admit(const Principal& principal, std::int64_t unix_ms);
  void charge(const Principal& principal, std::uint64_t tokens, std::int64_t unix_ms);

 private:
  struct Bucket {
    double tokens = 0;
    std::int64_t filled_ms = 0;
  };
  Bucket& refill(const Principal& principal, std::int64_t unix_ms);

  AccessOptions options_;
  const KeyChecker* keys_;
  std::mutex mutex_;
  std::map<std::string, Bucket> buckets_;  // By key; one for each that has a limit.
};

}  // namespace lockstep
