// The bytes of one connection, plain or TLS. Used on one strand.
#pragma once

#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/ssl/context.hpp>
#include <boost/asio/strand.hpp>
#include <functional>
#include <memory>
#include <string_view>

namespace lockstep {

class Transport {
 public:
  // On the strand. `ok` false: the connection is of no more use.
  using Done = std::function<void(bool ok, std::size_t num_bytes)>;

  virtual ~Transport() = default;
  virtual void handshake(Done done) = 0;
  // The memory stays valid until `done`.
  virtual void read(char* to, std::size_t max_bytes, Done done) = 0;
  // All of it.
  virtual void write(std::string_view bytes, Done done) = 0;
  // Tells the peer that nothing more comes.
  virtual void end_writes() = 0;
  virtual void close() = 0;
};

std::unique_ptr<Transport> make_plain_transport(boost::asio::ip::tcp::socket socket);
std::unique_ptr<Transport> make_tls_transport(boost::asio::ip::tcp::socket socket,
                                              std::shared_ptr<boost::asio::ssl::context> tls);

}  // namespace lockstep
