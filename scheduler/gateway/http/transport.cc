#include "scheduler/gateway/http/transport.h"

#include <boost/asio/ssl/stream.hpp>
#include <boost/asio/write.hpp>
#include <utility>

namespace lockstep {
namespace {

namespace asio = boost::asio;
using Socket = asio::ip::tcp::socket;
using AsioError = boost::system::error_code;

void shut(Socket& socket) {
  AsioError ignored;
  socket.shutdown(Socket::shutdown_send, ignored);
}

class PlainTransport final : public Transport {
 public:
  explicit PlainTransport(Socket socket) : socket_(std::move(socket)) {}

  void handshake(Done done) override {
    asio::post(socket_.get_executor(), [done = std::move(done)] { done(true, 0); });
  }
  void read(char* to, std::size_t max_bytes, Done done) override {
    socket_.async_read_some(
        asio::buffer(to, max_bytes),
        [done = std::move(done)](AsioError error, std::size_t bytes) { done(!error, bytes); });
  }
  void write(std::string_view bytes, Done done) override {
    asio::async_write(
        socket_, asio::buffer(bytes.data(), bytes.size()),
        [done = std::move(done)](AsioError error, std::size_t size) { done(!error, size); });
  }
  void end_writes() override { shut(socket_); }
  void close() override {
    AsioError ignored;
    socket_.close(ignored);
  }

 private:
  Socket socket_;
};

class TlsTransport final : public Transport {
 public:
  TlsTransport(Socket socket, std::shared_ptr<asio::ssl::context> tls)
      : tls_(std::move(tls)), stream_(std::move(socket), *tls_) {}

  void handshake(Done done) override {
    stream_.async_handshake(asio::ssl::stream_base::server,
                            [done = std::move(done)](AsioError error) { done(!error, 0); });
  }
  void read(char* to, std::size_t max_bytes, Done done) override {
    stream_.async_read_some(
        asio::buffer(to, max_bytes),
        [done = std::move(done)](AsioError error, std::size_t bytes) { done(!error, bytes); });
  }
  void write(std::string_view bytes, Done done) override {
    asio::async_write(
        stream_, asio::buffer(bytes.data(), bytes.size()),
        [done = std::move(done)](AsioError error, std::size_t size) { done(!error, size); });
  }
  // Responses say where they end, so nothing depends on TLS's own farewell.
  void end_writes() override { shut(stream_.next_layer()); }
  void close() override {
    AsioError ignored;
    stream_.next_layer().close(ignored);
  }

 private:
  std::shared_ptr<asio::ssl::context> tls_;  // Outlives the stream when the files are read again.
  asio::ssl::stream<Socket> stream_;
};

}  // namespace

std::unique_ptr<Transport> make_plain_transport(Socket socket) {
  return std::make_unique<PlainTransport>(std::move(socket));
}

std::unique_ptr<Transport> make_tls_transport(Socket socket,
                                              std::shared_ptr<asio::ssl::context> tls) {
  return std::make_unique<TlsTransport>(std::move(socket), std::move(tls));
}

}  // namespace lockstep
