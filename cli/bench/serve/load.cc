#include "cli/bench/serve/load.h"

#include <boost/asio/steady_timer.hpp>
#include <boost/beast/http/field.hpp>
#include <chrono>
#include <optional>

#include "base/check.h"
#include "cli/bench/serve/connection.h"
#include "cli/interrupt.h"

namespace lockstep {
namespace {

namespace asio = boost::asio;
namespace http = boost::beast::http;

constexpr std::size_t kMaxGetBytes = 1 << 20;
constexpr std::chrono::milliseconds kInterruptPoll{50};

Status prepare(const HttpServer& server, HttpSurroundings& surroundings) {
  surroundings.server = &server;
  boost::system::error_code error;
  asio::ip::tcp::resolver resolver(surroundings.io);
  surroundings.addresses =
      resolver.resolve(server.endpoint.host, std::to_string(server.endpoint.port), error);
  if (error) {
    return Error{ErrorCode::kUnavailable, server.endpoint.host + ": " + error.message()};
  }
  if (server.endpoint.tls) surroundings.tls.set_default_verify_paths(error);
  return {};
}

HttpRequest make_request(const HttpServer& server, http::verb verb, const std::string& path) {
  HttpRequest request(verb, path, 11);
  request.set(http::field::host, server.endpoint.authority());
  request.set(http::field::user_agent, "lockstep-bench");
  request.keep_alive(true);
  for (const auto& [name, value] : server.headers) request.set(name, value);
  return request;
}

double seconds(const Clock& clock) { return static_cast<double>(clock.monotonic_ns()) * 1e-9; }

class Load {
 public:
  Load(const HttpServer& server, const LoadPlan& plan, const Clock& clock)
      : server_(&server), plan_(&plan), clock_(&clock) {}

  Result<LoadResult> run() {
    LOCKSTEP_TRY(prepare(*server_, surroundings_), "connect");
    result_.answers.resize(plan_->arrivals_s.size());
    start_s_ = seconds(*clock_);
    pump();
    watch_interrupt();
    surroundings_.io.run();
    if (Interrupt::requested()) return Error{ErrorCode::kAborted, "interrupted"};
    result_.duration_s = seconds(*clock_) - start_s_;
    return std::move(result_);
  }

 private:
  bool finished() const { return num_done_ == plan_->arrivals_s.size(); }

  // Sends all that is due and fits; the timer and every answer call it again.
  void pump() {
    while (next_ < plan_->arrivals_s.size()) {
      if (plan_->max_concurrency > 0 && num_active_ >= plan_->max_concurrency) return;
      const double wait_s = start_s_ + plan_->arrivals_s[next_] - seconds(*clock_);
      if (wait_s > 0) return wake_after(wait_s);
      start(next_++);
    }
  }

  void wake_after(double wait_s) {
    timer_.expires_after(std::chrono::nanoseconds(static_cast<std::int64_t>(wait_s * 1e9) + 1));
    timer_.async_wait([this](const boost::system::error_code& error) {
      if (!error) pump();
    });
  }

  void watch_interrupt() {
    if (Interrupt::requested()) return surroundings_.io.stop();
    interrupt_timer_.expires_after(kInterruptPoll);
    interrupt_timer_.async_wait([this](const boost::system::error_code& error) {
      if (!error && !finished()) watch_interrupt();
    });
  }

  void start(std::size_t i) {
    std::shared_ptr<Connection> connection;
    if (idle_.empty()) {
      connection = std::make_shared<Connection>(surroundings_);
    } else {
      connection = std::move(idle_.back());
      idle_.pop_back();
    }
    HttpRequest request = make_request(*server_, http::verb::post, server_->endpoint.path);
    request.set(http::field::content_type, "application/json");
    request.set(http::field::accept, "text/event-stream");
    request.set("x-request-id", plan_->request_id_prefix + std::to_string(i));
    request.body() = plan_->body(i);
    request.prepare_payload();
    ++num_active_;
    const auto reader = std::make_shared<AnswerReader>(seconds(*clock_));
    connection->on_bytes = [this, reader](std::string_view bytes) {
      reader->push(bytes, seconds(*clock_));
    };
    // The connection keeps itself alive while it works; here that would be a cycle.
    connection->on_end = [this, reader, i, pointer = connection.get()](std::string error) {
      result_.answers[i] =
          error.empty() ? std::move(*reader).finish() : std::move(*reader).fail(std::move(error));
      finish(pointer->shared_from_this());
    };
    connection->send(std::move(request));
  }

  void finish(const std::shared_ptr<Connection>& connection) {
    --num_active_;
    ++num_done_;
    if (connection->reusable()) idle_.push_back(connection);
    if (plan_->on_progress) plan_->on_progress(num_done_);
    if (finished()) {
      interrupt_timer_.cancel();
      return;
    }
    // Not from here: the stack would grow with every answer that fails at once.
    asio::post(surroundings_.io, [this] { pump(); });
  }

  const HttpServer* server_;
  const LoadPlan* plan_;
  const Clock* clock_;
  HttpSurroundings surroundings_;
  asio::steady_timer timer_{surroundings_.io};
  asio::steady_timer interrupt_timer_{surroundings_.io};
  std::vector<std::shared_ptr<Connection>> idle_;
  LoadResult result_;
  double start_s_ = 0;
  std::size_t next_ = 0;
  std::size_t num_active_ = 0;
  std::size_t num_done_ = 0;
};

}  // namespace

Result<LoadResult> run_load(const HttpServer& server, const LoadPlan& plan, const Clock& clock) {
  return Load(server, plan, clock).run();
}

Result<std::string> http_get(const HttpServer& server, const std::string& path) {
  HttpSurroundings surroundings;
  LOCKSTEP_TRY(prepare(server, surroundings), "connect");
  const auto connection = std::make_shared<Connection>(surroundings);
  std::string body;
  std::string problem;
  connection->on_bytes = [&](std::string_view bytes) {
    body += bytes.substr(0, kMaxGetBytes - body.size());
  };
  connection->on_end = [&](std::string error) { problem = std::move(error); };
  connection->send(make_request(server, http::verb::get, path));
  surroundings.io.run();
  connection->close();
  if (!problem.empty()) return Error{ErrorCode::kUnavailable, problem};
  return body;
}

}  // namespace lockstep
