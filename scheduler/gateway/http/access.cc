#include "scheduler/gateway/http/access.h"

#include <arpa/inet.h>

#include <algorithm>
#include <cmath>
#include <utility>

#include "base/check.h"

namespace lockstep {
namespace {

ApiError refusal(int status, std::string message, std::string code) {
  ApiError error;
  error.status = status;
  error.message = std::move(message);
  error.type = status == 401 ? "authentication_error" : "permission_error";
  error.code = std::move(code);
  return error;
}

// The address in network order; empty when `host` is none.
std::string address_bytes(std::string_view host) {
  std::string bytes(16, '\0');
  const std::string text(host);
  if (inet_pton(AF_INET6, text.c_str(), bytes.data()) == 1) return bytes;
  bytes.resize(4);
  if (inet_pton(AF_INET, text.c_str(), bytes.data()) == 1) return bytes;
  return {};
}

}  // namespace

bool is_loopback(std::string_view host) {
  const std::string bytes = address_bytes(host);
  if (bytes.size() == 4) return bytes[0] == 127;
  return bytes == std::string(15, '\0') + '\1';
}

Status check_access_options(const ListenAddress& listen, const AccessOptions& options) {
  const std::string bytes = address_bytes(listen.host);
  const auto refuse = [&](const std::string& why) {
    return Error{ErrorCode::kInvalidArgument, "--host " + listen.host + ": " + why};
  };
  if (bytes.empty()) return refuse("expected an IP address such as 127.0.0.1");
  if (std::all_of(bytes.begin(), bytes.end(), [](char c) { return c == 0; })) {
    return refuse("listens on every network of this machine; name one address");
  }
  if (is_loopback(listen.host)) return {};
  if (options.no_auth) return refuse("--no-auth is for loopback addresses only; make a key");
  if (!options.has_tls && !options.insecure_http) {
    return refuse(
        "keys would cross the network in the clear; give --tls-cert and --tls-key, or "
        "--insecure-http where something in front does TLS");
  }
  return {};
}

bool names_loopback(std::string_view authority) {
  std::string_view host = authority;
  std::string_view port;
  if (host.starts_with('[')) {
    const std::size_t end = host.find(']');
    if (end == host.npos) return false;
    port = host.substr(end + 1);
    host = host.substr(1, end - 1);
  } else {
    const std::size_t colon = std::min(host.find(':'), host.size());
    port = host.substr(colon);
    host = host.substr(0, colon);
  }
  if (!port.empty()) {
    if (port[0] != ':' || port.size() > 6) return false;
    if (!std::all_of(port.begin() + 1, port.end(), [](char c) { return c >= '0' && c <= '9'; })) {
      return false;
    }
  }
  return equals_ignoring_case(host, "localhost") || is_loopback(host);
}

Access::Access(const AccessOptions& options, const KeyChecker* keys)
    : options_(options), keys_(keys) {
  CHECK(options.no_auth || keys != nullptr, "no keys to check");
}

OrApiError<Principal> Access::check(const RequestHead& head, std::uint32_t scope,
                                    std::int64_t unix_ms) {
  if (options_.no_auth) {
    const std::string* host = head.find("Host");
    const std::string* origin = head.find("Origin");
    if (host != nullptr && !names_loopback(*host)) {
      return refusal(403, "Host: without keys only names of the loopback are served", "host");
    }
    if (origin != nullptr && !(origin->starts_with("http://") && host != nullptr &&
                               equals_ignoring_case(origin->substr(7), *host))) {
      return refusal(403, "Origin: pages of other servers may not ask here", "origin");
    }
    Principal local;
    local.tenant = "local";
    return local;
  }
  if (scope == 0) return Principal{};
  const std::string* field = head.find("Authorization");
  constexpr std::string_view kScheme = "Bearer ";
  if (field == nullptr || field->size() <= kScheme.size() ||
      !equals_ignoring_case(std::string_view(*field).substr(0, kScheme.size()), kScheme)) {
    return refusal(401, "an API key is needed: \"Authorization: Bearer KEY\"", "missing_api_key");
  }
  const auto found = keys_->find(std::string_view(*field).substr(kScheme.size()), unix_ms);
  if (!found) return refusal(401, "the API key is not known here", "invalid_api_key");
  if (found->expires_ms > 0 && found->expires_ms <= unix_ms) {
    return refusal(401, "the API key has expired", "expired_api_key");
  }
  if ((found->scopes & scope) == 0) {
    return refusal(403, "the API key is not for this route", "insufficient_scope");
  }
  return *found;
}

// A bucket holds a minute's tokens and fills evenly.
Access::Bucket& Access::refill(const Principal& principal, std::int64_t unix_ms) {
  const auto limit = static_cast<double>(principal.tokens_per_minute);
  const auto [found, is_new] = buckets_.try_emplace(principal.key_id, Bucket{limit, unix_ms});
  Bucket& bucket = found->second;
  const double elapsed = static_cast<double>(std::max<std::int64_t>(unix_ms - bucket.filled_ms, 0));
  bucket.tokens = std::min(limit, bucket.tokens + elapsed * limit / 60'000);
  bucket.filled_ms = std::max(unix_ms, bucket.filled_ms);
  return bucket;
}

std::optional<ApiError> Access::admit(const Principal& principal, std::int64_t unix_ms) {
  if (principal.tokens_per_minute == 0) return std::nullopt;
  const std::lock_guard lock(mutex_);
  const Bucket& bucket = refill(principal, unix_ms);
  if (bucket.tokens > 0) return std::nullopt;
  ApiError error = refusal(429,
                           "the key's limit of " + std::to_string(principal.tokens_per_minute) +
                               " tokens per minute is used up",
                           "rate_limit_exceeded");
  error.type = "rate_limit_error";
  const double rate = static_cast<double>(principal.tokens_per_minute) / 60;
  error.retry_after_s = static_cast<int>(std::min(3600.0, std::floor(-bucket.tokens / rate) + 1));
  return error;
}

void Access::charge(const Principal& principal, std::uint64_t tokens, std::int64_t unix_ms) {
  if (principal.tokens_per_minute == 0) return;
  const std::lock_guard lock(mutex_);
  refill(principal, unix_ms).tokens -= static_cast<double>(tokens);
}

}  // namespace lockstep
