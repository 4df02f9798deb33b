// How many durable jobs a second a gateway accepts: connections that each post one job after the
// other, kept alive, on one thread. Prints one JSON object.
//
//   accept_load_tool PORT MODEL_NAME CONNECTIONS JOBS
#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cstdio>
#include <cstdlib>
#include <string>
#include <vector>

#include "base/clock.h"

namespace lockstep {
namespace {

constexpr int kPromptTokens = 16;
constexpr int kWaitMs = 30'000;

std::int64_t now_ns() { return system_clock().monotonic_ns(); }

struct Connection {
  int fd = -1;
  std::int64_t since_ns = 0;
  std::string answer;
};

std::string make_request(const std::string& model) {
  std::string prompt = "5";
  for (int i = 1; i < kPromptTokens; ++i) prompt += "," + std::to_string(5 + i);
  const std::string body = R"({"url":"/v1/completions","body":{"model":")" + model +
                           R"(","prompt":[)" + prompt + R"(],"max_tokens":16}})";
  return "POST /v1/jobs HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\n"
         "Content-Length: " +
         std::to_string(body.size()) + "\r\n\r\n" + body;
}

int dial(std::uint16_t port) {
  const int fd = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(port);
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  const int one = 1;
  ::setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
  if (::connect(fd, reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0) return -1;
  return fd;
}

// Whether the answer is whole; -1: it is not a 202.
int is_whole(const std::string& answer) {
  constexpr std::string_view kStatus = "HTTP/1.1 202";
  const std::size_t head = answer.find("\r\n\r\n");
  if (head == answer.npos) return 0;
  if (!answer.starts_with(kStatus)) return -1;
  constexpr std::string_view kLength = "ontent-length: ";
  std::size_t at = answer.find("Content-Length: ");
  at = at == answer.npos ? answer.find(kLength) : at + 1;
  if (at == answer.npos || at > head) return -1;
  const long length = std::strtol(answer.c_str() + at + kLength.size(), nullptr, 10);
  return answer.size() >= head + 4 + static_cast<std::size_t>(length) ? 1 : 0;
}

class Load {
 public:
  Load(std::string request, int jobs) : request_(std::move(request)), left_(jobs), open_(jobs) {}

  bool run(std::uint16_t port, int connections) {
    epoll_ = ::epoll_create1(EPOLL_CLOEXEC);
    connections_.resize(static_cast<std::size_t>(connections));
    for (std::size_t i = 0; i < connections_.size(); ++i) {
      connections_[i].fd = dial(port);
      if (connections_[i].fd < 0) return false;
      epoll_event event{};
      event.events = EPOLLIN;
      event.data.u64 = i;
      ::epoll_ctl(epoll_, EPOLL_CTL_ADD, connections_[i].fd, &event);
    }
    const std::int64_t start_ns = now_ns();
    for (Connection& connection : connections_) {
      if (!post(connection)) return false;
    }
    std::array<epoll_event, 64> events;
    while (open_ > 0) {
      const int count = ::epoll_wait(epoll_, events.data(), events.size(), kWaitMs);
      if (count <= 0) return false;
      for (int i = 0; i < count; ++i) {
        if (!take(connections_[events[static_cast<std::size_t>(i)].data.u64])) return false;
      }
    }
    seconds_ = static_cast<double>(now_ns() - start_ns) * 1e-9;
    for (const Connection& connection : connections_) ::close(connection.fd);
    ::close(epoll_);
    return true;
  }

  double per_second() const { return static_cast<double>(times_ms_.size()) / seconds_; }
  double percentile(double share) {
    std::ranges::sort(times_ms_);
    return times_ms_[static_cast<std::size_t>(share * static_cast<double>(times_ms_.size() - 1))];
  }

 private:
  bool post(Connection& connection) {
    if (left_ == 0) return true;
    --left_;
    connection.since_ns = now_ns();
    connection.answer.clear();
    return ::send(connection.fd, request_.data(), request_.size(), MSG_NOSIGNAL) ==
           static_cast<ssize_t>(request_.size());
  }

  bool take(Connection& connection) {
    std::array<char, 4096> piece;
    const ssize_t got = ::recv(connection.fd, piece.data(), piece.size(), MSG_DONTWAIT);
    if (got <= 0) return false;
    connection.answer.append(piece.data(), static_cast<std::size_t>(got));
    const int whole = is_whole(connection.answer);
    if (whole < 0) std::fprintf(stderr, "%.300s\n", connection.answer.c_str());
    if (whole <= 0) return whole == 0;
    --open_;
    times_ms_.push_back(static_cast<double>(now_ns() - connection.since_ns) * 1e-6);
    return post(connection);
  }

  const std::string request_;
  int left_;
  int open_;
  int epoll_ = -1;
  std::vector<Connection> connections_;
  std::vector<double> times_ms_;
  double seconds_ = 0;
};

}  // namespace
}  // namespace lockstep

int main(int argc, char** argv) {
  if (argc != 5) return 64;
  lockstep::Load load(lockstep::make_request(argv[2]), std::atoi(argv[4]));
  if (!load.run(static_cast<std::uint16_t>(std::atoi(argv[1])), std::atoi(argv[3]))) {
    std::fputs("the gateway did not take every job\n", stderr);
    return 1;
  }
  std::printf("{\"jobs_per_s\": %.0f, \"ms_p50\": %.3f, \"ms_p99\": %.3f}\n", load.per_second(),
              load.percentile(0.5), load.percentile(0.99));
  return 0;
}
