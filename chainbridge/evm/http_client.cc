#include "chainbridge/evm/http_client.h"

#include <algorithm>
#include <boost/asio/connect.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/address.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/ssl/context.hpp>
#include <boost/asio/ssl/host_name_verification.hpp>
#include <boost/asio/ssl/stream.hpp>
#include <boost/beast/core/flat_buffer.hpp>
#include <boost/beast/http/message.hpp>
#include <boost/beast/http/parser.hpp>
#include <boost/beast/http/read.hpp>
#include <boost/beast/http/string_body.hpp>
#include <boost/beast/http/write.hpp>
#include <charconv>
#include <chrono>

namespace lockstep {
namespace {

namespace asio = boost::asio;
namespace http = boost::beast::http;
using boost::beast::flat_buffer;
using Clock = std::chrono::steady_clock;
using FaultCode = boost::system::error_code;
using Tcp = asio::ip::tcp;
using SecureStream = asio::ssl::stream<Tcp::socket>;

constexpr std::uint32_t kMaxHeaderBytes = 16 << 10;
constexpr std::int64_t kMaxRetryMs = 3'600'000;
constexpr std::size_t kMaxUrlBytes = 2048;

Error bad_url(std::string_view text) {
  return {ErrorCode::kInvalidArgument, "expected http://HOST[:PORT][/PATH] or https://..., got \"" +
                                           std::string(text.substr(0, 80)) + "\""};
}

std::optional<std::int64_t> retry_after(std::string_view text) {
  std::int64_t seconds = 0;
  const auto [end, fault] = std::from_chars(text.data(), text.data() + text.size(), seconds);
  if (fault != std::errc{} || end != text.data() + text.size() || seconds < 0) return std::nullopt;
  return std::min(seconds, kMaxRetryMs / 1000) * 1000;
}

}  // namespace

std::string HttpUrl::place() const {
  return std::string(tls ? "https://" : "http://") + host + ":" + port;
}

Result<HttpUrl> parse_http_url(std::string_view text) {
  HttpUrl url;
  std::string_view rest = text;
  url.tls = rest.starts_with("https://");
  if (!url.tls && !rest.starts_with("http://")) return bad_url(text);
  rest.remove_prefix(url.tls ? 8 : 7);
  const bool is_printable = std::ranges::all_of(
      rest, [](char c) { return c > 0x20 && c < 0x7F && c != '@' && c != '#'; });
  const std::size_t slash = std::min(rest.find('/'), rest.size());
  url.target = slash == rest.size() ? "/" : std::string(rest.substr(slash));
  std::string_view authority = rest.substr(0, slash);
  const std::size_t colon = authority.rfind(':');
  // An IPv6 address stands in brackets.
  const bool has_port = colon != authority.npos && authority.find(']', colon) == authority.npos;
  url.port = has_port ? std::string(authority.substr(colon + 1)) : (url.tls ? "443" : "80");
  url.host = std::string(authority.substr(0, has_port ? colon : authority.npos));
  if (url.host.starts_with('[') && url.host.ends_with(']')) {
    url.host = url.host.substr(1, url.host.size() - 2);
  }
  std::uint16_t port = 0;
  const char* port_end = url.port.data() + url.port.size();
  const auto [end, fault] = std::from_chars(url.port.data(), port_end, port);
  const bool is_port = fault == std::errc{} && end == port_end && port != 0;
  if (!is_printable || !is_port || url.host.empty() || text.size() > kMaxUrlBytes) {
    return bad_url(text);
  }
  return url;
}

struct HttpClient::State {
  HttpUrl url;
  asio::ssl::context tls{asio::ssl::context::tls_client};
  // The connection between two requests; none before the first and after a fault.
  asio::io_context io{1};
  std::optional<Tcp::socket> plain;
  std::optional<SecureStream> secure;
  flat_buffer buffer;

  bool is_connected() const { return plain || secure; }
  void disconnect() {
    plain.reset();
    secure.reset();
    buffer.clear();
  }
  Tcp::socket& socket() { return secure ? secure->next_layer() : *plain; }
};

// One request and its answer, all of it before one deadline.
class HttpClient::Exchange {
 public:
  Exchange(State& state, const HttpLimits& limits)
      : state_(state),
        limits_(limits),
        deadline_(Clock::now() + std::chrono::milliseconds(limits.timeout_ms)) {}

  Status connect() {
    const HttpUrl& url = state_.url;
    Tcp::resolver resolver(state_.io);
    const auto found = std::make_shared<Tcp::resolver::results_type>();
    LOCKSTEP_TRY(wait(
                     "resolve",
                     [&](auto done) {
                       resolver.async_resolve(url.host, url.port,
                                              [found, done](FaultCode fault, auto results) {
                                                *found = std::move(results);
                                                done(fault);
                                              });
                     },
                     /*is_abandonable=*/true),
                 url.place());
    if (url.tls) {
      state_.secure.emplace(state_.io, state_.tls);
    } else {
      state_.plain.emplace(state_.io);
    }
    LOCKSTEP_TRY(wait("connect",
                      [&](auto done) {
                        asio::async_connect(state_.socket(), *found,
                                            [done](FaultCode fault, const auto&) { done(fault); });
                      }),
                 url.place());
    FaultCode ignored;
    state_.socket().set_option(Tcp::no_delay(true), ignored);
    return url.tls ? handshake() : Status();
  }

  Result<HttpAnswer> ask(const http::request<http::string_body>& request) {
    LOCKSTEP_TRY(with_stream("send",
                             [&](auto& stream, auto done) {
                               http::async_write(
                                   stream, request,
                                   [done](FaultCode fault, std::size_t) { done(fault); });
                             }),
                 state_.url.place());
    http::response_parser<http::string_body> parser;
    parser.header_limit(kMaxHeaderBytes);
    parser.body_limit(limits_.max_body_bytes);
    // The head by itself: Beast 1.74 forgets that a body is too long (Content-Length) when it reads
    // on into the body at once.
    Status read = with_stream("receive", [&](auto& stream, auto done) {
      http::async_read_header(stream, state_.buffer, parser,
                              [done](FaultCode fault, std::size_t) { done(fault); });
    });
    if (read.ok() && !parser.is_done()) {
      read = with_stream("receive", [&](auto& stream, auto done) {
        http::async_read(stream, state_.buffer, parser,
                         [done](FaultCode fault, std::size_t) { done(fault); });
      });
    }
    got_bytes_ = parser.got_some();
    LOCKSTEP_TRY(read, state_.url.place());
    HttpAnswer answer;
    answer.status = static_cast<int>(parser.get().result_int());
    const auto after = parser.get()[http::field::retry_after];
    answer.retry_after_ms = retry_after({after.data(), after.size()});
    answer.body = std::move(parser.get().body());
    if (!parser.keep_alive()) state_.disconnect();
    return answer;
  }

  // Whether the server has said anything to the last request.
  bool got_bytes() const { return got_bytes_; }

 private:
  Status handshake() {
    const std::string& host = state_.url.host;
    FaultCode no_address;
    (void)asio::ip::make_address(host, no_address);
    // RFC 6066: a name is sent, an address is not.
    if (no_address && SSL_set_tlsext_host_name(state_.secure->native_handle(), host.c_str()) != 1) {
      return Error{ErrorCode::kInvalidArgument, host + ": TLS cannot send this name"};
    }
    state_.secure->set_verify_mode(asio::ssl::verify_peer);
    state_.secure->set_verify_callback(asio::ssl::host_name_verification(host));
    return wait("TLS", [this](auto done) {
      state_.secure->async_handshake(asio::ssl::stream_base::client,
                                     [done](FaultCode fault) { done(fault); });
    });
  }

  template <typename Start>
  Status with_stream(const char* what, Start start) {
    return wait(what, [&](auto done) {
      if (state_.secure) {
        start(*state_.secure, done);
      } else {
        start(*state_.plain, done);
      }
    });
  }

  // Starts an operation and waits for its end or the deadline, which cancels it. A look-up of a
  // name cannot be cancelled: it owns what it writes to and is left alone.
  template <typename Start>
  Status wait(const char* what, Start start, bool is_abandonable = false) {
    const auto end = std::make_shared<std::optional<FaultCode>>();
    start([end](FaultCode fault) { *end = fault; });
    state_.io.restart();
    while (!*end && Clock::now() < deadline_) (void)state_.io.run_one_until(deadline_);
    const bool is_late = !*end;
    if (is_late && !is_abandonable) {
      FaultCode ignored;
      if (state_.is_connected()) state_.socket().close(ignored);
      while (!*end) (void)state_.io.run_one();
    }
    if (is_late) {
      return Error{ErrorCode::kTimeout, std::string(what) + ": no end within " +
                                            std::to_string(limits_.timeout_ms) + " ms"};
    }
    const FaultCode fault = **end;
    if (fault == http::error::body_limit || fault == http::error::header_limit) {
      return Error{ErrorCode::kExhausted, std::string(what) +
                                              ": the answer is longer than the limit of " +
                                              std::to_string(limits_.max_body_bytes) + " bytes"};
    }
    if (fault) return Error{ErrorCode::kUnavailable, std::string(what) + ": " + fault.message()};
    return {};
  }

  State& state_;
  const HttpLimits& limits_;
  const Clock::time_point deadline_;
  bool got_bytes_ = false;
};

HttpClient::HttpClient(std::unique_ptr<State> state) : state_(std::move(state)) {}
HttpClient::~HttpClient() = default;

const HttpUrl& HttpClient::url() const { return state_->url; }

Result<std::unique_ptr<HttpClient>> HttpClient::make(const HttpUrl& url,
                                                     const std::string& authorities) {
  auto state = std::make_unique<State>();
  state->url = url;
  FaultCode fault;
  if (authorities.empty()) {
    state->tls.set_default_verify_paths(fault);
  } else {
    state->tls.load_verify_file(authorities, fault);
  }
  if (fault) {
    return Error{ErrorCode::kInvalidArgument,
                 "certificates to trust: " + authorities + ": " + fault.message()};
  }
  return std::unique_ptr<HttpClient>(new HttpClient(std::move(state)));
}

Result<HttpAnswer> HttpClient::post(std::string_view json, const HttpLimits& limits) {
  http::request<http::string_body> request(http::verb::post, state_->url.target, 11);
  const bool is_ipv6 = state_->url.host.find(':') != std::string::npos;
  request.set(http::field::host,
              (is_ipv6 ? "[" + state_->url.host + "]" : state_->url.host) + ":" + state_->url.port);
  request.set(http::field::user_agent, "lockstep");
  request.set(http::field::content_type, "application/json");
  request.body() = std::string(json);
  request.prepare_payload();
  Exchange exchange(*state_, limits);
  for (bool is_old = state_->is_connected();; is_old = false) {
    if (!is_old) {
      state_->disconnect();
      const Status connected = exchange.connect();
      if (!connected.ok()) {
        state_->disconnect();
        return connected.error();
      }
    }
    Result<HttpAnswer> answer = exchange.ask(request);
    if (answer.ok()) return answer;
    state_->disconnect();
    // A server may close an idle connection at any time: that is no answer to this request.
    const bool is_closed = answer.error().code == ErrorCode::kUnavailable;
    if (!is_old || !is_closed || exchange.got_bytes()) return answer;
  }
}

}  // namespace lockstep
