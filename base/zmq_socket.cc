#include "base/zmq_socket.h"

#include <sys/eventfd.h>
#include <unistd.h>
#include <zmq.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <utility>

#include "base/check.h"
#include "base/checked.h"

namespace lockstep {
namespace {

// CURVE's own bytes around a frame.
constexpr std::int64_t kCurveOverhead = 64;
constexpr std::string_view kZapDomain = "lockstep";

Error zmq_error(ErrorCode code, const std::string& what) {
  return {code, what + ": " + zmq_strerror(zmq_errno())};
}

// One frame while it is received.
class Frame {
 public:
  Frame() { zmq_msg_init(&message_); }
  ~Frame() { zmq_msg_close(&message_); }
  Frame(const Frame&) = delete;
  Frame& operator=(const Frame&) = delete;

  bool receive(void* socket) {
    int got = -1;
    do {
      got = zmq_msg_recv(&message_, socket, ZMQ_DONTWAIT);
    } while (got < 0 && zmq_errno() == EINTR);
    return got >= 0;
  }
  Bytes bytes() {
    const auto* data = static_cast<const std::uint8_t*>(zmq_msg_data(&message_));
    return {data, data + zmq_msg_size(&message_)};
  }
  bool more() { return zmq_msg_more(&message_) != 0; }
  std::string user() {
    const char* user = zmq_msg_gets(&message_, "User-Id");
    return user != nullptr ? user : "";
  }

 private:
  zmq_msg_t message_;
};

// Whether "tcp://ADDRESS:PORT" names an address and does not mean all of them.
bool names_an_address(std::string_view endpoint) {
  constexpr std::string_view kScheme = "tcp://";
  if (!endpoint.starts_with(kScheme)) return false;
  endpoint.remove_prefix(kScheme.size());
  const std::size_t colon = endpoint.rfind(':');
  if (colon == std::string_view::npos || colon == 0) return false;
  std::string_view address = endpoint.substr(0, colon);
  if (address.starts_with('[') && address.ends_with(']')) {
    address = address.substr(1, address.size() - 2);
  }
  // 0, 0.0.0.0, ::, ::0, *: all of them mean every address.
  return address.find_first_not_of("0.:*[]") != std::string_view::npos;
}

}  // namespace

ZmqContext::ZmqContext() : context_(zmq_ctx_new()) {
  CHECK(context_ != nullptr, "no memory for a ZeroMQ context");
}

ZmqContext::~ZmqContext() {
  while (zmq_ctx_term(context_) != 0 && zmq_errno() == EINTR) {
  }
}

ZmqSocket::ZmqSocket(ZmqContext& context, int type) : socket_(zmq_socket(context.get(), type)) {}

ZmqSocket::ZmqSocket(ZmqSocket&& other) noexcept : socket_(std::exchange(other.socket_, nullptr)) {}

ZmqSocket& ZmqSocket::operator=(ZmqSocket&& other) noexcept {
  if (this != &other) {
    close();
    socket_ = std::exchange(other.socket_, nullptr);
  }
  return *this;
}

ZmqSocket::~ZmqSocket() { close(); }

void ZmqSocket::close() {
  if (socket_ != nullptr) zmq_close(socket_);
  socket_ = nullptr;
}

Status ZmqSocket::set(int option, const void* value, std::size_t bytes) {
  if (socket_ == nullptr) return Error{ErrorCode::kExhausted, "no socket left"};
  if (zmq_setsockopt(socket_, option, value, bytes) != 0) {
    return zmq_error(ErrorCode::kInternal, "socket option " + std::to_string(option));
  }
  return {};
}

Status ZmqSocket::limit(const ZmqLimits& limits) {
  const std::int64_t max_bytes = narrow<std::int64_t>(limits.max_message_bytes) + kCurveOverhead;
  LOCKSTEP_TRY(set(ZMQ_MAXMSGSIZE, &max_bytes, sizeof max_bytes), "socket");
  const std::array<std::pair<int, int>, 7> options{{
      {ZMQ_SNDHWM, limits.max_queued},
      {ZMQ_RCVHWM, limits.max_queued},
      {ZMQ_HANDSHAKE_IVL, limits.handshake_ms},
      {ZMQ_HEARTBEAT_IVL, limits.heartbeat_ms},
      {ZMQ_HEARTBEAT_TIMEOUT, 3 * limits.heartbeat_ms},
      {ZMQ_HEARTBEAT_TTL, 3 * limits.heartbeat_ms},
      {ZMQ_LINGER, limits.linger_ms},
  }};
  for (const auto& [option, value] : options) LOCKSTEP_TRY(set(option, value), "socket");
  return {};
}

Result<ZmqSocket> ZmqSocket::router(ZmqContext& context, const CurveSecretKey& own,
                                    const ZmqLimits& limits) {
  ZmqSocket socket(context, ZMQ_ROUTER);
  LOCKSTEP_TRY(socket.limit(limits), "router");
  LOCKSTEP_TRY(socket.set(ZMQ_ROUTER_MANDATORY, 1), "router");
  LOCKSTEP_TRY(socket.set(ZMQ_CURVE_SERVER, 1), "router");
  LOCKSTEP_TRY(socket.set(ZMQ_CURVE_SECRETKEY, own.bytes.data(), own.bytes.size()), "router");
  LOCKSTEP_TRY(socket.set(ZMQ_ZAP_DOMAIN, kZapDomain.data(), kZapDomain.size()), "router");
  return socket;
}

Result<ZmqSocket> ZmqSocket::dealer(ZmqContext& context, const CurveKeyPair& own,
                                    const CurvePublicKey& server, const ZmqLimits& limits) {
  ZmqSocket socket(context, ZMQ_DEALER);
  LOCKSTEP_TRY(socket.limit(limits), "dealer");
  // Nothing waits for a connection that is not there: it would come late, and out of place.
  LOCKSTEP_TRY(socket.set(ZMQ_IMMEDIATE, 1), "dealer");
  LOCKSTEP_TRY(socket.set(ZMQ_RECONNECT_IVL, 100), "dealer");
  LOCKSTEP_TRY(socket.set(ZMQ_RECONNECT_IVL_MAX, 1000), "dealer");
  const auto set_key = [&](int option, const std::array<std::uint8_t, 32>& key) {
    return socket.set(option, key.data(), key.size());
  };
  LOCKSTEP_TRY(set_key(ZMQ_CURVE_SERVERKEY, server.bytes), "dealer");
  LOCKSTEP_TRY(set_key(ZMQ_CURVE_PUBLICKEY, own.public_key.bytes), "dealer");
  LOCKSTEP_TRY(set_key(ZMQ_CURVE_SECRETKEY, own.secret_key.bytes), "dealer");
  return socket;
}

Result<ZmqSocket> ZmqSocket::zap(ZmqContext& context) {
  ZmqSocket socket(context, ZMQ_ROUTER);
  LOCKSTEP_TRY(socket.set(ZMQ_LINGER, 0), "zap");
  if (zmq_bind(socket.socket_, "inproc://zeromq.zap.01") != 0) {
    return zmq_error(ErrorCode::kInternal, "bind the ZAP handler");
  }
  return socket;
}

Status ZmqSocket::bind(const std::string& endpoint) {
  if (!names_an_address(endpoint)) {
    return Error{ErrorCode::kInvalidArgument,
                 endpoint +
                     ": expected tcp://ADDRESS:PORT with one address of this machine, not "
                     "all of them (tcp://127.0.0.1:0)"};
  }
  if (zmq_bind(socket_, endpoint.c_str()) != 0) {
    return zmq_error(ErrorCode::kUnavailable, "bind " + endpoint);
  }
  return {};
}

Result<std::string> ZmqSocket::endpoint() const {
  std::array<char, 256> text{};
  std::size_t size = text.size();
  if (zmq_getsockopt(socket_, ZMQ_LAST_ENDPOINT, text.data(), &size) != 0) {
    return zmq_error(ErrorCode::kInternal, "ask for the bound address");
  }
  return std::string(text.data());
}

Status ZmqSocket::connect(const std::string& endpoint) {
  if (!names_an_address(endpoint)) {
    return Error{ErrorCode::kInvalidArgument, endpoint + ": expected tcp://ADDRESS:PORT"};
  }
  if (zmq_connect(socket_, endpoint.c_str()) != 0) {
    return zmq_error(ErrorCode::kInvalidArgument, endpoint);
  }
  return {};
}

ZmqSent ZmqSocket::send(std::span<const ByteView> frames) {
  for (std::size_t i = 0; i < frames.size(); ++i) {
    const int more = i + 1 < frames.size() ? ZMQ_SNDMORE : 0;
    int sent = -1;
    do {
      sent = zmq_send(socket_, frames[i].data(), frames[i].size(), ZMQ_DONTWAIT | more);
    } while (sent < 0 && zmq_errno() == EINTR);
    // A router refuses with the first frame, a dealer with its only one: nothing is sent by halves.
    if (sent < 0) return zmq_errno() == EHOSTUNREACH ? ZmqSent::kUnreachable : ZmqSent::kFull;
  }
  return ZmqSent::kSent;
}

std::optional<ZmqMessage> ZmqSocket::receive(std::size_t max_frames) {
  ZmqMessage message;
  bool more = true;
  while (more) {
    Frame frame;
    if (!frame.receive(socket_)) {
      // The parts of a message come together.
      return std::nullopt;
    }
    more = frame.more();
    message.user = frame.user();
    if (message.frames.size() < max_frames) {
      message.frames.push_back(frame.bytes());
    } else {
      message.more_frames = true;
    }
  }
  return message;
}

Wakeup::Wakeup() : fd_(::eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC)) {
  CHECK(fd_ >= 0, "no file descriptor left for an eventfd");
}

Wakeup::~Wakeup() { ::close(fd_); }

void Wakeup::ring() const {
  const std::uint64_t one = 1;
  // Full means: rung already.
  [[maybe_unused]] const ssize_t written = ::write(fd_, &one, sizeof one);
}

void Wakeup::silence() const {
  std::uint64_t count = 0;
  [[maybe_unused]] const ssize_t got = ::read(fd_, &count, sizeof count);
}

void wait_for_messages(std::span<const ZmqSocket* const> sockets, const Wakeup& wakeup,
                       int timeout_ms) {
  constexpr std::size_t kMaxSockets = 4;
  CHECK(sockets.size() <= kMaxSockets, "more sockets than a thread polls");
  std::array<zmq_pollitem_t, kMaxSockets + 1> items{};
  int count = 0;
  for (const ZmqSocket* socket : sockets) {
    items[static_cast<std::size_t>(count++)] = {socket->get(), 0, ZMQ_POLLIN, 0};
  }
  items[static_cast<std::size_t>(count++)] = {nullptr, wakeup.fd(), ZMQ_POLLIN, 0};
  (void)zmq_poll(items.data(), count, timeout_ms);
  wakeup.silence();
}

}  // namespace lockstep
