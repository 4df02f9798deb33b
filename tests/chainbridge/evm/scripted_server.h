// An HTTP server on the loopback that answers JSON-RPC as a test tells it: honestly, or not.
#pragma once

#include <arpa/inet.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <atomic>
#include <chrono>
#include <cstdint>
#include <functional>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "base/canonical_json.h"
#include "base/check.h"

namespace lockstep {

class ScriptedServer {
 public:
  // Raw bytes to send, after a delay; no bytes: the connection is closed. "drip": a byte at a time.
  struct Reply {
    std::string bytes;
    int delay_ms = 0;
    bool drips = false;
  };
  // Runs on the server's thread.
  using Script = std::function<Reply(const Json& request)>;

  explicit ScriptedServer(Script script) : script_(std::move(script)) {
    listener_ = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t size = sizeof address;
    CHECK(::bind(listener_, reinterpret_cast<sockaddr*>(&address), size) == 0 &&
              ::listen(listener_, 8) == 0 &&
              ::getsockname(listener_, reinterpret_cast<sockaddr*>(&address), &size) == 0,
          "no port on the loopback");
    url_ = "http://127.0.0.1:" + std::to_string(ntohs(address.sin_port));
    thread_ = std::thread([this] { run(); });
  }
  ~ScriptedServer() {
    stop_.store(true);
    thread_.join();
    ::close(listener_);
  }

  const std::string& url() const { return url_; }
  int num_requests() const { return num_requests_.load(); }
  void set_script(Script script) {
    const std::scoped_lock lock(mutex_);
    script_ = std::move(script);
  }

  static std::string http(const std::string& body, const std::string& status = "200 OK",
                          const std::string& headers = "") {
    return "HTTP/1.1 " + status + "\r\nContent-Length: " + std::to_string(body.size()) + "\r\n" +
           headers + "\r\n" + body;
  }
  static Reply result(const Json& request, const Json& value) {
    return {http(Json{{"jsonrpc", "2.0"}, {"id", request["id"]}, {"result", value}}.dump())};
  }
  static Reply fault(const Json& request, int code, const std::string& message,
                     const Json& data = nullptr) {
    Json error = {{"code", code}, {"message", message}};
    if (!data.is_null()) error["data"] = data;
    return {http(Json{{"jsonrpc", "2.0"}, {"id", request["id"]}, {"error", error}}.dump())};
  }

 private:
  bool wait(int socket) const {
    while (!stop_.load()) {
      pollfd item{socket, POLLIN, 0};
      if (::poll(&item, 1, 20) > 0) return true;
    }
    return false;
  }
  void run() {
    std::vector<std::thread> connections;
    while (wait(listener_)) {
      const int connection = ::accept4(listener_, nullptr, nullptr, SOCK_CLOEXEC);
      connections.emplace_back([this, connection] {
        while (serve(connection)) {
        }
        ::close(connection);
      });
    }
    for (std::thread& connection : connections) connection.join();
  }
  bool serve(int connection) {
    std::string text;
    std::size_t body = text.npos;
    std::size_t length = 0;
    while (body == text.npos || text.size() < body + length) {
      char piece[4096];
      if (!wait(connection)) return false;
      const ssize_t got = ::recv(connection, piece, sizeof piece, 0);
      if (got <= 0) return false;
      text.append(piece, static_cast<std::size_t>(got));
      const std::size_t end = text.find("\r\n\r\n");
      if (end == text.npos) continue;
      body = end + 4;
      length = std::stoul(text.substr(text.find("Content-Length: ") + 16));
    }
    num_requests_ += 1;
    const Reply reply = [&] {
      const std::scoped_lock lock(mutex_);
      return script_(Json::parse(text.substr(body)));
    }();
    pause(reply.delay_ms);
    for (std::size_t at = 0; at < reply.bytes.size() && !stop_.load();) {
      const std::size_t size = reply.drips ? 1 : reply.bytes.size() - at;
      if (::send(connection, reply.bytes.data() + at, size, MSG_NOSIGNAL) <= 0) return false;
      at += size;
      if (reply.drips) pause(5);
    }
    return !reply.bytes.empty();
  }
  void pause(int ms) const {
    for (int i = 0; i < ms && !stop_.load(); ++i) {
      std::this_thread::sleep_for(std::chrono::milliseconds(1));
    }
  }

  std::mutex mutex_;
  Script script_;
  int listener_ = -1;
  std::string url_;
  std::atomic<bool> stop_ = false;
  std::atomic<int> num_requests_ = 0;
  std::thread thread_;
};

}  // namespace lockstep
