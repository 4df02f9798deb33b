// One client's connection: requests one after the other, each with its response. Everything happens
// on the connection's strand; one read and one write are in flight at most.
#pragma once

#include <array>
#include <boost/asio/steady_timer.hpp>
#include <chrono>
#include <functional>
#include <memory>
#include <string>

#include "scheduler/gateway/http/request_reader.h"
#include "scheduler/gateway/http/server_options.h"
#include "scheduler/gateway/http/service.h"
#include "scheduler/gateway/http/transport.h"

namespace lockstep {

class ServerConnection : public std::enable_shared_from_this<ServerConnection> {
 public:
  using Executor = boost::asio::any_io_executor;

  struct Surroundings {
    std::shared_ptr<HttpService> service;
    std::shared_ptr<HttpCounters> counters;
    HttpTimeouts timeouts;
    std::function<RequestId()> next_id;
  };

  ServerConnection(std::unique_ptr<Transport> transport, Executor strand,
                   Surroundings surroundings);
  ~ServerConnection();

  // Serves until the client leaves or stop() is called; keeps itself alive meanwhile.
  void start();
  // From any thread. `now` false: a response on its way is finished first.
  void stop(bool now);

 private:
  // What the connection waits for.
  enum class Phase { kHandshake, kIdle, kHead, kBody, kAnswer, kStream, kLinger, kClosed };

  void read();
  void on_read(bool ok, std::size_t num_bytes);
  void process();
  void begin_exchange();
  void answer_soon();
  void respond(std::uint64_t request, Response response);
  void write_response(Response response, bool keep_alive);
  void poll();
  void pump();
  // Calls `step` on the strand, unless the request it was made for is over.
  std::function<void()> waker(void (*step)(ServerConnection&));
  void write(std::string bytes, std::function<void()> then);
  void finish_response();
  void linger();
  void close();
  void set_deadline(std::chrono::milliseconds in);
  void on_deadline();

  std::unique_ptr<Transport> transport_;
  Executor strand_;
  Surroundings surroundings_;
  boost::asio::steady_timer timer_;
  RequestReader reader_;
  Phase phase_ = Phase::kHandshake;
  std::uint64_t request_ = 0;  // Counts, so that late answers are known.
  RequestHead head_;
  std::unique_ptr<Exchange> exchange_;
  std::unique_ptr<BodyStream> stream_;
  std::unique_ptr<LaterResponse> later_;
  std::chrono::steady_clock::time_point body_deadline_;
  std::size_t lingered_bytes_ = 0;
  bool keep_alive_ = false;
  bool is_reading_ = false;
  bool is_writing_ = false;
  bool is_woken_ = false;     // The stream has more, once the write is done.
  bool is_stopping_ = false;  // After this response.
  std::string out_;
  std::function<void()> behind_;  // A write that waits for the one in flight.
  std::array<char, 16 << 10> in_;
};

}  // namespace lockstep
