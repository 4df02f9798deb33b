#include "cli/slurm/step_place.h"

#include <arpa/inet.h>
#include <ifaddrs.h>
#include <netdb.h>
#include <netinet/in.h>

#include <charconv>
#include <memory>

#include "base/process.h"

namespace lockstep {
namespace {

constexpr std::size_t kMaxPorts = 1024;

Result<std::uint16_t> parse_port(std::string_view text) {
  std::uint16_t port = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), port);
  if (error == std::errc{} && end == text.data() + text.size() && port != 0) return port;
  return Error{ErrorCode::kInvalidArgument, "expected ports such as 31000-31002, got \"" +
                                                std::string(text.substr(0, 60)) + "\""};
}

std::string text_of(const sockaddr* address) {
  char text[INET_ADDRSTRLEN] = "";
  const auto* in = reinterpret_cast<const sockaddr_in*>(address);
  (void)::inet_ntop(AF_INET, &in->sin_addr, text, sizeof text);
  return text;
}

Result<std::string> address_of_host() {
  const std::string host = host_name();
  addrinfo hints = {};
  hints.ai_family = AF_INET;
  hints.ai_socktype = SOCK_STREAM;
  addrinfo* found = nullptr;
  const int error = ::getaddrinfo(host.c_str(), nullptr, &hints, &found);
  if (error != 0) {
    return Error{ErrorCode::kNotFound, host + ": " + ::gai_strerror(error) +
                                           "; name the network in the site's file: interface"};
  }
  const std::unique_ptr<addrinfo, void (*)(addrinfo*)> owner(found, ::freeaddrinfo);
  return text_of(found->ai_addr);
}

}  // namespace

Result<std::vector<std::uint16_t>> parse_ports(std::string_view text) {
  std::vector<std::uint16_t> ports;
  for (;;) {
    const std::size_t comma = text.find(',');
    const std::string_view range = text.substr(0, comma);
    const std::size_t dash = range.find('-');
    LOCKSTEP_TRY_ASSIGN(const std::uint16_t first, parse_port(range.substr(0, dash)), "ports");
    std::uint16_t last = first;
    if (dash != std::string_view::npos) {
      LOCKSTEP_TRY_ASSIGN(last, parse_port(range.substr(dash + 1)), "ports");
    }
    for (std::uint32_t port = first; port <= last; ++port) {
      if (ports.size() == kMaxPorts) {
        return Error{ErrorCode::kInvalidArgument, "ports: more than " + std::to_string(kMaxPorts)};
      }
      ports.push_back(static_cast<std::uint16_t>(port));
    }
    if (comma == std::string_view::npos) return ports;
    text.remove_prefix(comma + 1);
  }
}

Result<std::string> address_of(const std::string& interface) {
  if (interface.empty()) return address_of_host();
  ifaddrs* list = nullptr;
  if (::getifaddrs(&list) != 0) {
    return Error{ErrorCode::kUnavailable, "the interfaces of this host cannot be listed"};
  }
  const std::unique_ptr<ifaddrs, void (*)(ifaddrs*)> owner(list, ::freeifaddrs);
  std::string names;
  for (const ifaddrs* one = list; one != nullptr; one = one->ifa_next) {
    if (one->ifa_addr == nullptr || one->ifa_addr->sa_family != AF_INET) continue;
    if (interface == one->ifa_name) return text_of(one->ifa_addr);
    names.append(names.empty() ? "" : ", ").append(one->ifa_name);
  }
  return Error{ErrorCode::kNotFound,
               "no interface \"" + interface + "\" with an IPv4 address; there are: " + names};
}

}  // namespace lockstep
