#include "cli/slurm/relay.h"

#include <array>
#include <boost/asio/connect.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/ssl.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/write.hpp>
#include <charconv>
#include <chrono>
#include <optional>
#include <utility>

#include "base/log.h"

namespace lockstep {
namespace {

namespace asio = boost::asio;
using asio::ip::tcp;
using ErrorOf = boost::system::error_code;

constexpr int kMaxConnections = 256;
constexpr std::size_t kBufferBytes = 32 << 10;
constexpr std::chrono::seconds kConnectTime{10};

// One connection: from a client of this machine to the gateway and back.
class Pair : public std::enable_shared_from_this<Pair> {
 public:
  Pair(asio::io_context& io, tcp::socket client, int& num_open)
      : client_(std::move(client)), plain_(io), timer_(io), num_open_(num_open) {
    ++num_open_;
  }
  ~Pair() { --num_open_; }
  Pair(const Pair&) = delete;
  Pair& operator=(const Pair&) = delete;

  void start(const RelayTarget& target) {
    ErrorOf error;
    const auto address = asio::ip::make_address(target.host, error);
    if (error) return;
    if (!target.certificate.empty()) {
      context_.set_verify_mode(asio::ssl::verify_peer, error);
      // Pinned: this certificate, whatever name it carries.
      context_.add_certificate_authority(asio::buffer(target.certificate), error);
      if (error) return;
      secure_.emplace(plain_, context_);
    }
    timer_.expires_after(kConnectTime);
    timer_.async_wait([self = shared_from_this()](const ErrorOf& aborted) {
      if (!aborted) self->close();
    });
    plain_.async_connect({address, target.port},
                         [self = shared_from_this()](const ErrorOf& e) { self->connected(e); });
  }

 private:
  struct Way {
    std::array<char, kBufferBytes> bytes{};
  };

  void connected(const ErrorOf& error) {
    if (error) return fail("connect", error);
    if (!secure_) return begin();
    secure_->async_handshake(asio::ssl::stream_base::client,
                             [self = shared_from_this()](const ErrorOf& e) {
                               if (e) return self->fail("handshake", e);
                               self->begin();
                             });
  }

  void begin() {
    timer_.cancel();
    if (secure_) {
      pass(client_, *secure_, up_);
      pass(*secure_, client_, down_);
    } else {
      pass(client_, plain_, up_);
      pass(plain_, client_, down_);
    }
  }

  // Until one side ends; then both do.
  template <typename From, typename To>
  void pass(From& from, To& to, Way& way) {
    from.async_read_some(asio::buffer(way.bytes), [self = shared_from_this(), &from, &to, &way](
                                                      const ErrorOf& error, std::size_t bytes) {
      if (error) return self->close();
      asio::async_write(to, asio::buffer(way.bytes.data(), bytes),
                        [self, &from, &to, &way](const ErrorOf& failed, std::size_t) {
                          if (failed) return self->close();
                          self->pass(from, to, way);
                        });
    });
  }

  void fail(const char* what, const ErrorOf& error) {
    log_event(LogLevel::kWarning, "tunnel_failed", {{"at", what}, {"error", error.message()}});
    close();
  }

  void close() {
    timer_.cancel();
    ErrorOf ignored;
    client_.close(ignored);
    plain_.close(ignored);
  }

  tcp::socket client_;
  tcp::socket plain_;
  asio::ssl::context context_{asio::ssl::context::tls_client};
  std::optional<asio::ssl::stream<tcp::socket&>> secure_;
  asio::steady_timer timer_;
  Way up_;
  Way down_;
  int& num_open_;
};

}  // namespace

struct Relay::State {
  explicit State(Find the_find) : find(std::move(the_find)), acceptor(io) {}

  void accept() {
    acceptor.async_accept([this](const ErrorOf& error, tcp::socket client) {
      if (error == asio::error::operation_aborted) return;
      if (!error) take(std::move(client));
      accept();
    });
  }

  void take(tcp::socket client) {
    if (num_open >= kMaxConnections) return;
    const auto target = find();
    if (!target.ok()) {
      log_event(LogLevel::kWarning, "tunnel_failed", {{"error", target.error().message}});
      return;
    }
    std::make_shared<Pair>(io, std::move(client), num_open)->start(target.value());
  }

  Find find;
  int num_open = 0;  // Outlives the pairs, which io owns.
  asio::io_context io{1};
  tcp::acceptor acceptor;
};

Result<RelayTarget> parse_target(const std::string& url, std::string certificate) {
  const std::string scheme = certificate.empty() ? "http://" : "https://";
  const std::size_t colon = url.rfind(':');
  RelayTarget target;
  target.certificate = std::move(certificate);
  if (url.starts_with(scheme) && colon != std::string::npos && colon > scheme.size()) {
    target.host = url.substr(scheme.size(), colon - scheme.size());
    if (target.host.starts_with('[') && target.host.ends_with(']')) {
      target.host = target.host.substr(1, target.host.size() - 2);
    }
    const char* end = url.data() + url.size();
    const auto [stop, error] = std::from_chars(url.data() + colon + 1, end, target.port);
    ErrorOf no_address;
    (void)asio::ip::make_address(target.host, no_address);
    if (error == std::errc{} && stop == end && target.port != 0 && !no_address) return target;
  }
  return Error{ErrorCode::kCorrupt,
               "expected " + scheme + "ADDRESS:PORT, got \"" + url.substr(0, 80) + "\""};
}

Relay::Relay(std::unique_ptr<State> state) : state_(std::move(state)) {}

Relay::~Relay() = default;

Result<std::unique_ptr<Relay>> Relay::start(std::uint16_t port, Find find) {
  auto state = std::make_unique<State>(std::move(find));
  ErrorOf error;
  const tcp::endpoint here(asio::ip::address_v4::loopback(), port);
  state->acceptor.open(here.protocol(), error);
  if (!error) state->acceptor.set_option(tcp::acceptor::reuse_address(true), error);
  if (!error) state->acceptor.bind(here, error);
  if (!error) state->acceptor.listen(asio::socket_base::max_listen_connections, error);
  if (error) {
    return Error{ErrorCode::kUnavailable,
                 "127.0.0.1:" + std::to_string(port) + ": " + error.message()};
  }
  state->accept();
  return std::unique_ptr<Relay>(new Relay(std::move(state)));
}

std::uint16_t Relay::port() const { return state_->acceptor.local_endpoint().port(); }

void Relay::run(const std::atomic<bool>& leave) {
  while (!leave) state_->io.run_for(std::chrono::milliseconds(100));
}

}  // namespace lockstep
