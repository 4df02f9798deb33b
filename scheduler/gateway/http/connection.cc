#include "scheduler/gateway/http/connection.h"

#include <algorithm>
#include <boost/asio/post.hpp>
#include <utility>

#include "base/check.h"

namespace lockstep {
namespace {

// What a client may send ahead of its answer, and behind a refusal.
constexpr std::size_t kMaxAheadBytes = 64 << 10;
constexpr std::size_t kMaxLingerBytes = 1 << 20;
// A body must come at this rate on average.
constexpr std::uint64_t kMinBodyBytesPerSecond = 64 << 10;

ApiError timeout_error(const char* what) {
  ApiError error;
  error.status = 408;
  error.message = std::string("HTTP: ") + what + " took too long";
  return error;
}

}  // namespace

ServerConnection::ServerConnection(std::unique_ptr<Transport> transport, Executor strand,
                                   Surroundings surroundings)
    : transport_(std::move(transport)),
      strand_(std::move(strand)),
      surroundings_(std::move(surroundings)),
      timer_(strand_) {
  surroundings_.counters->connections.fetch_add(1);
}

ServerConnection::~ServerConnection() { surroundings_.counters->connections.fetch_sub(1); }

void ServerConnection::start() {
  boost::asio::post(strand_, [self = shared_from_this()] {
    self->set_deadline(self->surroundings_.timeouts.head);
    self->transport_->handshake([self](bool ok, std::size_t) {
      if (!ok || self->phase_ == Phase::kClosed) return self->close();
      self->phase_ = Phase::kHead;  // A new connection is expected to ask at once.
      self->read();
    });
  });
}

void ServerConnection::stop(bool now) {
  boost::asio::post(strand_, [self = shared_from_this(), now] {
    self->is_stopping_ = true;
    const bool is_busy = self->phase_ == Phase::kAnswer || self->phase_ == Phase::kStream;
    if (now || !is_busy) self->close();
  });
}

void ServerConnection::read() {
  if (is_reading_ || phase_ == Phase::kClosed) return;
  is_reading_ = true;
  transport_->read(in_.data(), in_.size(), [self = shared_from_this()](bool ok, std::size_t bytes) {
    self->is_reading_ = false;
    self->on_read(ok, bytes);
  });
}

void ServerConnection::on_read(bool ok, std::size_t num_bytes) {
  if (phase_ == Phase::kClosed) return;
  if (!ok) return close();
  if (phase_ == Phase::kLinger) {
    lingered_bytes_ += num_bytes;
    if (lingered_bytes_ > kMaxLingerBytes) return close();
    return read();
  }
  reader_.append({in_.data(), num_bytes});
  if (phase_ == Phase::kAnswer || phase_ == Phase::kStream) {
    // Requests behind this one wait for their turn. The read shows when the client leaves.
    if (reader_.num_buffered() > kMaxAheadBytes) return close();
    return read();
  }
  if (phase_ == Phase::kIdle) {
    phase_ = Phase::kHead;
    set_deadline(surroundings_.timeouts.head);
  }
  process();
}

void ServerConnection::process() {
  while (phase_ == Phase::kHead || phase_ == Phase::kBody) {
    switch (reader_.advance()) {
      case RequestReader::Progress::kNeedMore:
        if (phase_ == Phase::kBody) {
          const auto left = body_deadline_ - std::chrono::steady_clock::now();
          set_deadline(std::min(surroundings_.timeouts.body_gap,
                                std::chrono::duration_cast<std::chrono::milliseconds>(left)));
        }
        return read();
      case RequestReader::Progress::kHead:
        begin_exchange();
        break;
      case RequestReader::Progress::kBody:
        if (auto error = exchange_->take(reader_.take_body())) {
          return write_response(error_response(*error), /*keep_alive=*/false);
        }
        break;
      case RequestReader::Progress::kDone:
        answer_soon();
        break;
      case RequestReader::Progress::kFault:
        if (head_.id.is_zero()) head_.id = surroundings_.next_id();
        return write_response(error_response(reader_.fault()), /*keep_alive=*/false);
    }
  }
}

void ServerConnection::begin_exchange() {
  head_ = reader_.head();
  head_.id = surroundings_.next_id();
  keep_alive_ = head_.keep_alive;
  surroundings_.counters->requests.fetch_add(1);
  phase_ = Phase::kBody;
  auto begun = surroundings_.service->begin(head_);
  if (auto* response = std::get_if<Response>(&begun)) {
    // A body that nobody reads cannot be told from the next request.
    return write_response(std::move(*response), keep_alive_ && !head_.has_body());
  }
  exchange_ = std::get<std::unique_ptr<Exchange>>(std::move(begun));
  reader_.set_body_limit(exchange_->max_body_bytes());
  body_deadline_ = std::chrono::steady_clock::now() + surroundings_.timeouts.body +
                   std::chrono::seconds(exchange_->max_body_bytes() / kMinBodyBytesPerSecond);
  if (head_.expects_continue && head_.has_body() &&
      head_.content_length <= exchange_->max_body_bytes()) {
    write("HTTP/1.1 100 Continue\r\n\r\n", [] {});
  }
}

void ServerConnection::answer_soon() {
  phase_ = Phase::kAnswer;
  timer_.cancel();
  read();
  exchange_->finish([weak = weak_from_this(), request = request_](Response response) {
    const auto self = weak.lock();
    if (!self) return;
    boost::asio::post(self->strand_,
                      [self, request, shared = std::make_shared<Response>(std::move(response))] {
                        self->respond(request, std::move(*shared));
                      });
  });
}

void ServerConnection::respond(std::uint64_t request, Response response) {
  if (request != request_ || phase_ != Phase::kAnswer || later_) return;
  if (!response.later) return write_response(std::move(response), keep_alive_);
  later_ = std::move(response.later);
  poll();
}

void ServerConnection::poll() {
  if (phase_ != Phase::kAnswer || !later_) return;
  if (auto response = later_->poll()) {
    write_response(std::move(*response), keep_alive_);
    return later_.reset();
  }
  later_->wait(waker([](ServerConnection& self) { self.poll(); }));
}

std::function<void()> ServerConnection::waker(void (*step)(ServerConnection&)) {
  return [weak = weak_from_this(), request = request_, step] {
    const auto self = weak.lock();
    if (!self) return;
    boost::asio::post(self->strand_, [self, request, step] {
      if (self->request_ == request) step(*self);
    });
  };
}

void ServerConnection::write_response(Response response, bool keep_alive) {
  if (response.status >= 400) surroundings_.counters->refused.fetch_add(1);
  phase_ = Phase::kStream;
  ResponseFrame frame{head_.id, head_.version, keep_alive && !is_stopping_, head_.method == "HEAD"};
  if (response.stream && head_.version < 11) frame.keep_alive = false;
  keep_alive_ = frame.keep_alive;
  std::string bytes = encode_response(response, frame);
  if (response.stream && !frame.head_only) {
    stream_ = std::move(response.stream);
    return write(std::move(bytes), [this] { pump(); });
  }
  write(std::move(bytes), [this] { finish_response(); });
}

void ServerConnection::pump() {
  if (phase_ != Phase::kStream || !stream_) return;
  if (is_writing_) {
    is_woken_ = true;
    return;
  }
  is_woken_ = false;
  BodyStream::Piece piece = stream_->next();
  if (piece.failed) return close();
  if (piece.text.empty() && !piece.ended) {
    if (!stream_->heartbeat().empty()) set_deadline(surroundings_.timeouts.heartbeat);
    return stream_->wait(waker([](ServerConnection& self) { self.pump(); }));
  }
  const bool ended = piece.ended;
  std::string bytes = head_.version >= 11 ? encode_chunk(piece.text, ended) : std::move(piece.text);
  write(std::move(bytes), [this, ended] { ended ? finish_response() : pump(); });
}

// At most one waits: an answer behind its "100 Continue".
void ServerConnection::write(std::string bytes, std::function<void()> then) {
  if (is_writing_) {
    CHECK(!behind_, "two writes wait");
    behind_ = [this, bytes = std::move(bytes), then = std::move(then)]() mutable {
      write(std::move(bytes), std::move(then));
    };
    return;
  }
  is_writing_ = true;
  out_ = std::move(bytes);
  if (phase_ == Phase::kStream) set_deadline(surroundings_.timeouts.write);
  transport_->write(out_,
                    [self = shared_from_this(), then = std::move(then)](bool ok, std::size_t) {
                      self->is_writing_ = false;
                      if (self->phase_ == Phase::kClosed) return;
                      if (!ok) return self->close();
                      then();
                      if (self->is_writing_ || !self->behind_) return;
                      std::exchange(self->behind_, nullptr)();
                    });
}

void ServerConnection::finish_response() {
  exchange_.reset();
  stream_.reset();
  later_.reset();
  ++request_;
  if (!keep_alive_ || is_stopping_) return linger();
  head_ = {};
  reader_.next();
  const bool is_ahead = reader_.num_buffered() > 0;
  phase_ = is_ahead ? Phase::kHead : Phase::kIdle;
  set_deadline(is_ahead ? surroundings_.timeouts.head : surroundings_.timeouts.idle);
  if (is_ahead) return process();
  read();
}

// Closing with bytes unread would make the system throw away what was written.
void ServerConnection::linger() {
  phase_ = Phase::kLinger;
  exchange_.reset();
  transport_->end_writes();
  set_deadline(surroundings_.timeouts.linger);
  read();
}

void ServerConnection::close() {
  if (phase_ == Phase::kClosed) return;
  phase_ = Phase::kClosed;
  ++request_;
  exchange_.reset();
  stream_.reset();
  later_.reset();
  timer_.cancel();
  transport_->close();
}

void ServerConnection::set_deadline(std::chrono::milliseconds in) {
  timer_.expires_after(in);
  timer_.async_wait([weak = weak_from_this()](boost::system::error_code error) {
    const auto self = weak.lock();
    if (self && !error) self->on_deadline();
  });
}

void ServerConnection::on_deadline() {
  // The timer was set anew while this call was on its way.
  if (timer_.expiry() > std::chrono::steady_clock::now()) return;
  if (phase_ == Phase::kHead && reader_.started()) {
    if (head_.id.is_zero()) head_.id = surroundings_.next_id();
    return write_response(error_response(timeout_error("the header")), false);
  }
  if (phase_ == Phase::kBody)
    return write_response(error_response(timeout_error("the body")), false);
  if (phase_ == Phase::kStream && stream_ && !is_writing_) {
    std::string beat = stream_->heartbeat();
    if (beat.empty()) return;
    if (head_.version >= 11) beat = encode_chunk(beat, false);
    return write(std::move(beat), [this] {
      set_deadline(surroundings_.timeouts.heartbeat);
      if (is_woken_) pump();
    });
  }
  if (phase_ != Phase::kAnswer) close();
}

}  // namespace lockstep
