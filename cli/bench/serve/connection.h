// One connection to an HTTP server and the request that is on its way over it. Seen by load.cc
// alone: Boost.Beast takes long to compile.
#pragma once

#include <array>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/ssl/context.hpp>
#include <boost/beast/core/flat_buffer.hpp>
#include <boost/beast/core/tcp_stream.hpp>
#include <boost/beast/http/buffer_body.hpp>
#include <boost/beast/http/message.hpp>
#include <boost/beast/http/parser.hpp>
#include <boost/beast/http/string_body.hpp>
#include <boost/beast/ssl/ssl_stream.hpp>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "cli/bench/serve/load.h"

namespace lockstep {

using HttpRequest = boost::beast::http::request<boost::beast::http::string_body>;
using ErrorCodeOf = boost::beast::error_code;

// What all connections of a run share. Outlives them.
struct HttpSurroundings {
  boost::asio::io_context io{1};
  boost::asio::ssl::context tls{boost::asio::ssl::context::tls_client};
  boost::asio::ip::tcp::resolver::results_type addresses;
  const HttpServer* server = nullptr;
};

// One request at a time; all functions are called on the thread of the io_context.
class Connection : public std::enable_shared_from_this<Connection> {
 public:
  explicit Connection(HttpSurroundings& surroundings);

  // Called for the bytes of the body of a 200.
  std::function<void(std::string_view bytes)> on_bytes;
  // Called once at the end: "" or what went wrong.
  std::function<void(std::string error)> on_end;

  // Sends a request; connects before where there is no connection yet. on_bytes and on_end follow.
  void send(HttpRequest request);
  // Whether another request may be sent, after on_end.
  bool reusable() const { return reusable_; }
  // Takes no further notice of the server.
  void close();

 private:
  void connect();
  void handshake();
  void write();
  void read_header();
  void read_body();
  void take_body(ErrorCodeOf error);
  void end(std::string error);
  void fail(std::string_view what, const ErrorCodeOf& error);
  boost::beast::tcp_stream& socket();
  template <typename Function>
  void with_stream(Function&& function);

  static constexpr std::size_t kReadBytes = 64 << 10;
  static constexpr std::size_t kMaxErrorBytes = 4 << 10;

  HttpSurroundings* surroundings_;
  std::optional<boost::beast::tcp_stream> plain_;  // Exactly one of the two.
  std::optional<boost::beast::ssl_stream<boost::beast::tcp_stream>> secure_;
  std::optional<HttpRequest> request_;
  boost::beast::flat_buffer buffer_;
  std::optional<boost::beast::http::response_parser<boost::beast::http::buffer_body>> parser_;
  std::array<char, kReadBytes> body_{};
  std::string error_body_;  // Of a response that is no 200.
  bool connected_ = false;
  bool used_before_ = false;  // The server may have closed it in the meantime.
  bool reusable_ = false;
};

}  // namespace lockstep
