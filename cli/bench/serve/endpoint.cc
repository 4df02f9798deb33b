#include "cli/bench/serve/endpoint.h"

#include <algorithm>
#include <string_view>

#include "cli/options.h"

namespace lockstep {
namespace {

constexpr int kHttpPort = 80;
constexpr int kHttpsPort = 443;

Error no_url(const std::string& url, const std::string& why) {
  return {ErrorCode::kInvalidArgument,
          "expected http://HOST[:PORT][/PATH] or https://..., got \"" + url + "\": " + why};
}

bool is_plain(std::string_view text) {
  return std::ranges::all_of(text, [](char c) { return c > ' ' && c < '\x7f'; });
}

}  // namespace

std::string Endpoint::authority() const {
  const std::string name = host.find(':') == std::string::npos ? host : "[" + host + "]";
  return port == (tls ? kHttpsPort : kHttpPort) ? name : name + ":" + std::to_string(port);
}

Result<Endpoint> parse_endpoint(const std::string& base_url, const std::string& path) {
  if (!is_plain(base_url) || !is_plain(path))
    return no_url(base_url + path, "a space or control character");
  if (!path.starts_with('/')) return no_url(base_url + path, "the path must begin with /");
  std::string_view rest = base_url;
  Endpoint endpoint;
  endpoint.tls = rest.starts_with("https://");
  if (!endpoint.tls && !rest.starts_with("http://")) return no_url(base_url, "no such scheme");
  rest.remove_prefix(endpoint.tls ? 8 : 7);
  const std::size_t slash = std::min(rest.find('/'), rest.size());
  std::string_view authority = rest.substr(0, slash);
  std::string_view prefix = rest.substr(slash);
  while (prefix.ends_with('/')) prefix.remove_suffix(1);
  if (base_url.find_first_of("?#") != std::string::npos) return no_url(base_url, "a query");
  if (authority.find('@') != std::string_view::npos) {
    return no_url(base_url, "a user; keys come from OPENAI_API_KEY or --api-key-file");
  }
  std::string_view port;
  if (authority.starts_with('[')) {
    const std::size_t close = authority.find(']');
    if (close == std::string_view::npos) return no_url(base_url, "no closing bracket");
    endpoint.host = authority.substr(1, close - 1);
    port = authority.substr(close + 1);
  } else {
    const std::size_t colon = std::min(authority.find(':'), authority.size());
    endpoint.host = authority.substr(0, colon);
    port = authority.substr(colon);
  }
  if (endpoint.host.empty()) return no_url(base_url, "no host");
  endpoint.port = endpoint.tls ? kHttpsPort : kHttpPort;
  if (!port.empty()) {
    const auto number = parse_integer<int>(port.substr(1), {1, 65535});
    if (port.front() != ':' || !number.ok()) return no_url(base_url, "no such port");
    endpoint.port = number.value();
  }
  endpoint.path = std::string(prefix) + path;
  return endpoint;
}

}  // namespace lockstep
