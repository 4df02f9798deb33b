#include "scheduler/gateway/admin/admin_socket.h"

#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <mutex>
#include <optional>
#include <utility>

#include "base/clock.h"
#include "base/descriptor.h"
#include "base/unix_socket.h"

namespace lockstep {
namespace {

constexpr int kBacklog = 16;
constexpr int kLineMs = 5'000;  // For an order to come, and for an answer to go.
constexpr int kPollMs = 1'000;

Status write_line(int connection, std::string line) {
  line += '\n';
  std::size_t at = 0;
  while (at < line.size()) {
    const ssize_t sent = ::send(connection, line.data() + at, line.size() - at, MSG_NOSIGNAL);
    if (sent < 0 && errno == EINTR) continue;
    if (sent <= 0) return system_error(errno, "admin socket", "write");
    at += static_cast<std::size_t>(sent);
  }
  return {};
}

}  // namespace

// An order that was given and not answered yet.
struct AdminSocket::Pending {
  std::mutex mutex;
  std::optional<Status> status;
};

Result<std::unique_ptr<AdminSocket>> AdminSocket::start(const std::string& directory,
                                                        const std::string& name, Handler handler) {
  const std::string path = directory + "/" + name;
  LOCKSTEP_TRY_ASSIGN(Descriptor listener, listen_unix(directory, name, kBacklog), "admin socket");
  std::unique_ptr<AdminSocket> socket(
      new AdminSocket(listener.release(), path, std::move(handler)));
  socket->thread_ = std::thread([raw = socket.get()] { raw->run(); });
  return socket;
}

AdminSocket::AdminSocket(int listener, std::string path, Handler handler)
    : listener_(listener), path_(std::move(path)), handler_(std::move(handler)) {}

AdminSocket::~AdminSocket() {
  stopping_.store(true);
  wakeup_->ring();
  if (thread_.joinable()) thread_.join();
  ::close(listener_);
  ::unlink(path_.c_str());
}

void AdminSocket::run() {
  while (!stopping_.load()) {
    if (!wait(listener_, kPollMs)) continue;
    const Descriptor connection(::accept4(listener_, nullptr, nullptr, SOCK_CLOEXEC));
    if (connection.get() < 0) continue;
    const timeval patience{.tv_sec = kLineMs / 1000, .tv_usec = 0};
    (void)::setsockopt(connection.get(), SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof patience);
    serve(connection.get());
  }
}

// Whether `descriptor` is readable before the time is over, or the wakeup rings.
bool AdminSocket::wait(int descriptor, int timeout_ms) const {
  std::array<pollfd, 2> items = {{{descriptor, POLLIN, 0}, {wakeup_->fd(), POLLIN, 0}}};
  (void)::poll(items.data(), items.size(), timeout_ms);
  wakeup_->silence();
  return items[0].revents != 0 && !stopping_.load();
}

Result<std::string> AdminSocket::read_line(int connection) const {
  const std::int64_t until_ns = system_clock().monotonic_ns() + std::int64_t{kLineMs} * 1'000'000;
  std::string text;
  while (text.size() <= kMaxAdminLineBytes) {
    const std::size_t end = text.find('\n');
    if (end != text.npos) return text.substr(0, end);
    const std::int64_t left_ns = until_ns - system_clock().monotonic_ns();
    if (left_ns <= 0 || stopping_.load()) {
      return Error{ErrorCode::kTimeout, "admin socket: no order came"};
    }
    if (!wait(connection, static_cast<int>(left_ns / 1'000'000) + 1)) continue;
    std::array<char, 1024> piece;
    const ssize_t got = ::recv(connection, piece.data(), piece.size(), MSG_DONTWAIT);
    if (got < 0 && (errno == EINTR || errno == EAGAIN)) continue;
    if (got <= 0) return Error{ErrorCode::kAborted, "admin socket: closed without an order"};
    text.append(piece.data(), static_cast<std::size_t>(got));
  }
  return Error{ErrorCode::kInvalidArgument, "admin socket: the line is too long"};
}

void AdminSocket::serve(int connection) {
  const Result<std::string> line = read_line(connection);
  const Result<AdminOrder> order =
      line.ok() ? parse_admin_order(line.value()) : Result<AdminOrder>(line.error());
  if (!order.ok()) {
    (void)write_line(connection, encode_admin_answer(order.error()));
    return;
  }
  const auto pending = std::make_shared<Pending>();
  handler_(order.value(), [pending, wakeup = wakeup_](Status status) {
    {
      const std::scoped_lock lock(pending->mutex);
      pending->status = std::move(status);
    }
    wakeup->ring();
  });
  // Who asked may leave; what was begun goes on, and the next order waits for it.
  while (!stopping_.load()) {
    {
      const std::scoped_lock lock(pending->mutex);
      if (pending->status) {
        (void)write_line(connection, encode_admin_answer(*pending->status));
        return;
      }
    }
    pollfd item{wakeup_->fd(), POLLIN, 0};
    (void)::poll(&item, 1, kPollMs);
    wakeup_->silence();
  }
}

Status ask_gateway(const std::string& directory, const std::string& name, const AdminOrder& order) {
  const std::string path = directory + "/" + name;
  LOCKSTEP_TRY_ASSIGN(const Descriptor connection, connect_unix(directory, name), "no gateway");
  LOCKSTEP_TRY(write_line(connection.get(), encode_admin_order(order)), path);
  std::string text;
  while (text.size() <= 2 * kMaxAdminLineBytes) {
    const std::size_t end = text.find('\n');
    if (end != text.npos) return parse_admin_answer(std::string_view(text).substr(0, end));
    std::array<char, 1024> piece;
    const ssize_t got = ::recv(connection.get(), piece.data(), piece.size(), 0);
    if (got < 0 && errno == EINTR) continue;
    if (got <= 0) break;
    text.append(piece.data(), static_cast<std::size_t>(got));
  }
  return Error{ErrorCode::kUnavailable, path + ": the gateway ended without an answer"};
}

}  // namespace lockstep
