#include "scheduler/gateway/http/server.h"

#include <algorithm>
#include <boost/asio/post.hpp>
#include <mutex>
#include <thread>
#include <unordered_map>
#include <utility>
#include <vector>

#include "base/log.h"
#include "base/random.h"
#include "scheduler/gateway/http/connection.h"

namespace lockstep {
namespace {

namespace asio = boost::asio;
using asio::ip::tcp;
using AsioError = boost::system::error_code;

Error tls_error(const std::string& file, const AsioError& error) {
  return Error{ErrorCode::kInvalidArgument, file + ": " + error.message()};
}

Result<std::shared_ptr<asio::ssl::context>> read_tls(const HttpServerOptions& options) {
  auto tls = std::make_shared<asio::ssl::context>(asio::ssl::context::tls_server);
  tls->set_options(asio::ssl::context::default_workarounds | asio::ssl::context::no_sslv2 |
                   asio::ssl::context::no_sslv3 | asio::ssl::context::no_tlsv1 |
                   asio::ssl::context::no_tlsv1_1 | asio::ssl::context::no_compression);
  AsioError error;
  tls->use_certificate_chain_file(options.tls_certificate, error);
  if (error) return tls_error("--tls-cert " + options.tls_certificate, error);
  tls->use_private_key_file(options.tls_key, asio::ssl::context::pem, error);
  if (error) return tls_error("--tls-key " + options.tls_key, error);
  return tls;
}

}  // namespace

struct ApiServer::State {
  HttpServerOptions options;
  std::shared_ptr<HttpService> service;
  std::shared_ptr<HttpCounters> counters;
  asio::io_context io;
  tcp::acceptor acceptor{asio::make_strand(io)};
  asio::steady_timer retry{acceptor.get_executor()};
  std::uint16_t port = 0;
  std::vector<std::thread> threads;

  std::mutex mutex;  // Of what follows.
  std::shared_ptr<asio::ssl::context> tls;
  RequestIdSource ids{system_random()};
  std::unordered_map<ServerConnection*, std::weak_ptr<ServerConnection>> connections;
  std::size_t sweep_at = 64;

  RequestId next_id() {
    const std::lock_guard lock(mutex);
    return ids.next(unix_ms());
  }

  static std::int64_t unix_ms() {
    return std::chrono::duration_cast<std::chrono::milliseconds>(
               std::chrono::system_clock::now().time_since_epoch())
        .count();
  }

  Status listen();
  void accept();
  void take(tcp::socket socket);
  void keep(const std::shared_ptr<ServerConnection>& connection);
  std::vector<std::shared_ptr<ServerConnection>> open_connections();
};

Status ApiServer::State::listen() {
  AsioError error;
  const auto address = asio::ip::make_address(options.listen.host, error);
  const tcp::endpoint endpoint(address, options.listen.port);
  if (!error) acceptor.open(endpoint.protocol(), error);
  if (!error) acceptor.set_option(tcp::acceptor::reuse_address(true), error);
  if (!error) acceptor.bind(endpoint, error);
  if (!error) acceptor.listen(1024, error);
  if (!error) port = acceptor.local_endpoint(error).port();
  if (!error) return {};
  return Error{ErrorCode::kUnavailable, "listen on " + options.listen.host + " port " +
                                            std::to_string(options.listen.port) + ": " +
                                            error.message() + "; --port chooses another"};
}

void ApiServer::State::accept() {
  acceptor.async_accept(asio::make_strand(io), [this](AsioError error, tcp::socket socket) {
    if (error == asio::error::operation_aborted) return;
    if (!error) {
      take(std::move(socket));
      return accept();
    }
    // Out of descriptors: trying again at once would spin.
    log_event(LogLevel::kWarning, "http_accept_failed", {{"error", error.message()}});
    retry.expires_after(std::chrono::milliseconds(50));
    retry.async_wait([this](AsioError stopped) {
      if (!stopped) accept();
    });
  });
}

void ApiServer::State::take(tcp::socket socket) {
  AsioError ignored;
  socket.set_option(tcp::no_delay(true), ignored);
  if (counters->connections.load() >= options.max_connections) {
    ApiError full;
    full.status = 503;
    full.message = "HTTP: " + std::to_string(options.max_connections) + " connections are open";
    full.type = "service_unavailable_error";
    full.retry_after_s = 1;
    const std::string bytes = encode_response(error_response(full), {next_id(), 11, false, false});
    counters->refused.fetch_add(1);
    // The first bytes of a socket fit into its buffer; over TLS the connection just closes.
    socket.non_blocking(true, ignored);
    if (options.tls_key.empty()) socket.write_some(asio::buffer(bytes), ignored);
    return;
  }
  const asio::any_io_executor strand = socket.get_executor();
  std::unique_ptr<Transport> transport;
  if (options.tls_key.empty()) {
    transport = make_plain_transport(std::move(socket));
  } else {
    const std::lock_guard lock(mutex);
    transport = make_tls_transport(std::move(socket), tls);
  }
  const auto connection = std::make_shared<ServerConnection>(
      std::move(transport), strand,
      ServerConnection::Surroundings{service, counters, options.timeouts,
                                     [this] { return next_id(); }});
  keep(connection);
  connection->start();
}

void ApiServer::State::keep(const std::shared_ptr<ServerConnection>& connection) {
  const std::lock_guard lock(mutex);
  connections[connection.get()] = connection;
  if (connections.size() < sweep_at) return;
  std::erase_if(connections, [](const auto& entry) { return entry.second.expired(); });
  sweep_at = std::max<std::size_t>(64, 2 * connections.size());
}

std::vector<std::shared_ptr<ServerConnection>> ApiServer::State::open_connections() {
  const std::lock_guard lock(mutex);
  std::vector<std::shared_ptr<ServerConnection>> open;
  for (const auto& [key, weak] : connections) {
    if (auto connection = weak.lock()) open.push_back(std::move(connection));
  }
  return open;
}

ApiServer::ApiServer(std::unique_ptr<State> state) : state_(std::move(state)) {}

Result<std::unique_ptr<ApiServer>> ApiServer::start(const HttpServerOptions& options,
                                                    std::shared_ptr<HttpService> service,
                                                    std::shared_ptr<HttpCounters> counters) {
  auto state = std::make_unique<State>();
  state->options = options;
  state->options.access.has_tls = !options.tls_key.empty();
  state->service = std::move(service);
  state->counters = std::move(counters);
  LOCKSTEP_TRY(check_access_options(options.listen, state->options.access), "HTTP");
  if (options.tls_certificate.empty() != options.tls_key.empty()) {
    return Error{ErrorCode::kInvalidArgument, "--tls-cert and --tls-key: give both, or none"};
  }
  if (!options.tls_key.empty()) {
    LOCKSTEP_TRY_ASSIGN(state->tls, read_tls(options), "TLS");
  }
  LOCKSTEP_TRY(state->listen(), "HTTP");
  state->accept();
  for (int i = 0; i < options.num_threads; ++i) {
    state->threads.emplace_back([io = &state->io] { io->run(); });
  }
  return std::unique_ptr<ApiServer>(new ApiServer(std::move(state)));
}

ApiServer::~ApiServer() { stop(std::chrono::milliseconds(0)); }

std::uint16_t ApiServer::port() const { return state_->port; }

Status ApiServer::reload_tls() {
  if (state_->options.tls_key.empty()) return {};
  LOCKSTEP_TRY_ASSIGN(auto tls, read_tls(state_->options), "TLS");
  const std::lock_guard lock(state_->mutex);
  state_->tls = std::move(tls);
  return {};
}

void ApiServer::stop(std::chrono::milliseconds grace) {
  if (state_->threads.empty()) return;
  boost::asio::post(state_->acceptor.get_executor(), [state = state_.get()] {
    AsioError ignored;
    state->acceptor.close(ignored);
    state->retry.cancel();
  });
  const auto end = std::chrono::steady_clock::now() + grace;
  for (const auto& connection : state_->open_connections()) connection->stop(/*now=*/false);
  while (std::chrono::steady_clock::now() < end && !state_->open_connections().empty()) {
    std::this_thread::sleep_for(std::chrono::milliseconds(5));
  }
  for (const auto& connection : state_->open_connections()) connection->stop(/*now=*/true);
  const auto closed = std::chrono::steady_clock::now() + std::chrono::milliseconds(200);
  while (std::chrono::steady_clock::now() < closed && !state_->open_connections().empty()) {
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
  }
  state_->io.stop();
  for (std::thread& thread : state_->threads) thread.join();
  state_->threads.clear();
}

}  // namespace lockstep
