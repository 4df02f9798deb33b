#include "cli/bench/serve/connection.h"

#include <boost/asio/ip/address.hpp>
#include <boost/asio/ssl/host_name_verification.hpp>
#include <boost/beast/core/bind_handler.hpp>
#include <boost/beast/http/read.hpp>
#include <boost/beast/http/write.hpp>
#include <chrono>
#include <utility>

namespace lockstep {
namespace {

namespace asio = boost::asio;
namespace beast = boost::beast;
namespace http = boost::beast::http;

// As vLLM's client: a whole answer may take this long.
constexpr std::chrono::hours kRequestTimeout{6};
constexpr std::chrono::seconds kConnectTimeout{30};
constexpr std::uint64_t kMaxBodyBytes = std::uint64_t{1} << 30;
constexpr std::uint32_t kMaxHeaderBytes = 64 << 10;

}  // namespace

Connection::Connection(HttpSurroundings& surroundings) : surroundings_(&surroundings) {
  if (surroundings.server->endpoint.tls) {
    secure_.emplace(surroundings.io, surroundings.tls);
  } else {
    plain_.emplace(surroundings.io);
  }
}

beast::tcp_stream& Connection::socket() {
  return secure_ ? beast::get_lowest_layer(*secure_) : *plain_;
}

template <typename Function>
void Connection::with_stream(Function&& function) {
  if (secure_) {
    function(*secure_);
  } else {
    function(*plain_);
  }
}

void Connection::send(HttpRequest request) {
  request_ = std::move(request);
  used_before_ = connected_;
  reusable_ = false;
  error_body_.clear();
  if (connected_) {
    write();
  } else {
    connect();
  }
}

void Connection::close() {
  beast::error_code ignored;
  socket().socket().close(ignored);
  connected_ = false;
}

void Connection::connect() {
  socket().expires_after(kConnectTimeout);
  socket().async_connect(
      surroundings_->addresses, [self = shared_from_this()](beast::error_code error, const auto&) {
        if (error) return self->fail("connect", error);
        beast::error_code ignored;
        self->socket().socket().set_option(asio::ip::tcp::no_delay(true), ignored);
        if (self->secure_) return self->handshake();
        self->connected_ = true;
        self->write();
      });
}

void Connection::handshake() {
  const HttpServer& server = *surroundings_->server;
  const std::string& host = server.endpoint.host;
  beast::error_code no_address;
  (void)asio::ip::make_address(host, no_address);
  // RFC 6066: a name is sent, an address is not.
  if (no_address && SSL_set_tlsext_host_name(secure_->native_handle(), host.c_str()) != 1) {
    return end("TLS: the host name cannot be sent");
  }
  if (server.verify_certificate) {
    secure_->set_verify_mode(asio::ssl::verify_peer);
    secure_->set_verify_callback(asio::ssl::host_name_verification(host));
  }
  secure_->async_handshake(asio::ssl::stream_base::client,
                           [self = shared_from_this()](beast::error_code error) {
                             if (error) return self->fail("TLS", error);
                             self->connected_ = true;
                             self->write();
                           });
}

void Connection::write() {
  socket().expires_after(kRequestTimeout);
  with_stream([this](auto& stream) {
    http::async_write(stream, *request_,
                      [self = shared_from_this()](beast::error_code error, std::size_t) {
                        if (error) return self->fail("send", error);
                        self->read_header();
                      });
  });
}

void Connection::read_header() {
  parser_.emplace();
  parser_->body_limit(kMaxBodyBytes);
  parser_->header_limit(kMaxHeaderBytes);
  with_stream([this](auto& stream) {
    http::async_read_header(stream, buffer_, *parser_,
                            [self = shared_from_this()](beast::error_code error, std::size_t) {
                              if (error) return self->fail("receive", error);
                              self->read_body();
                            });
  });
}

void Connection::read_body() {
  if (parser_->is_done()) return take_body({});
  parser_->get().body().data = body_.data();
  parser_->get().body().size = body_.size();
  with_stream([this](auto& stream) {
    http::async_read_some(stream, buffer_, *parser_,
                          [self = shared_from_this()](beast::error_code error, std::size_t) {
                            self->take_body(error);
                          });
  });
}

void Connection::take_body(beast::error_code error) {
  const bool good = parser_->get().result() == http::status::ok;
  if (parser_->get().body().data != nullptr) {
    const std::string_view bytes(body_.data(), body_.size() - parser_->get().body().size);
    if (good) {
      on_bytes(bytes);
    } else {
      error_body_ += bytes.substr(0, kMaxErrorBytes - error_body_.size());
    }
  }
  if (error && error != http::error::need_buffer) return fail("receive", error);
  if (!parser_->is_done()) return read_body();
  reusable_ = parser_->keep_alive();
  if (good) return end("");
  end("HTTP " + std::to_string(parser_->get().result_int()) + ": " + error_text(error_body_));
}

void Connection::fail(std::string_view what, const beast::error_code& error) {
  close();
  // A server may close an idle connection at any time: that is no answer to this request.
  const bool answered = parser_ && parser_->got_some();
  if (used_before_ && !answered && what != "connect" && error != beast::error::timeout) {
    used_before_ = false;
    plain_.reset();
    secure_.reset();
    buffer_.clear();
    parser_.reset();
    if (surroundings_->server->endpoint.tls) {
      secure_.emplace(surroundings_->io, surroundings_->tls);
    } else {
      plain_.emplace(surroundings_->io);
    }
    return connect();
  }
  end(std::string(what) + ": " + error.message());
}

void Connection::end(std::string error) {
  if (!reusable_) close();
  if (reusable_) socket().expires_never();
  std::exchange(on_end, nullptr)(std::move(error));
}

}  // namespace lockstep
