#include "chainbridge/signer/signer_socket.h"

#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <filesystem>
#include <utility>

#include "base/clock.h"
#include "base/descriptor.h"
#include "base/file.h"
#include "base/log.h"
#include "base/unix_socket.h"

namespace lockstep {
namespace {

constexpr int kBacklog = 16;
constexpr int kExchangeMs = 10'000;  // For a whole message, one way.
constexpr int kPollMs = 200;         // How soon a stop is seen.
constexpr std::size_t kLengthBytes = 4;

std::pair<std::string, std::string> split(const std::string& path) {
  const std::filesystem::path parts(path);
  const std::string folder = parts.parent_path().string();
  return {folder.empty() ? "." : folder, parts.filename().string()};
}

// Waits until the socket is ready for `events`; false when the time is over.
bool wait(int socket, short events, std::int64_t until_ns) {
  for (;;) {
    const std::int64_t left_ms = (until_ns - system_clock().monotonic_ns()) / 1'000'000;
    if (left_ms <= 0) return false;
    pollfd item{socket, events, 0};
    const int ready = ::poll(&item, 1, static_cast<int>(left_ms) + 1);
    if (ready > 0) return true;
    if (ready < 0 && errno != EINTR) return false;
  }
}

Status read_exactly(int socket, std::span<std::uint8_t> out, std::int64_t until_ns) {
  while (!out.empty()) {
    if (!wait(socket, POLLIN, until_ns)) {
      return Error{ErrorCode::kTimeout, "signer's socket: no whole message in time"};
    }
    const ssize_t got = ::recv(socket, out.data(), out.size(), MSG_DONTWAIT);
    if (got < 0 && (errno == EINTR || errno == EAGAIN)) continue;
    if (got <= 0) return Error{ErrorCode::kUnavailable, "signer's socket: closed"};
    out = out.subspan(static_cast<std::size_t>(got));
  }
  return {};
}

Result<Bytes> read_message(int socket, std::size_t max_bytes) {
  const std::int64_t until_ns =
      system_clock().monotonic_ns() + std::int64_t{kExchangeMs} * 1'000'000;
  std::array<std::uint8_t, kLengthBytes> length{};
  LOCKSTEP_TRY(read_exactly(socket, length, until_ns), "length");
  const auto size = load_le<std::uint32_t>(length.data());
  if (size > max_bytes) return Error{ErrorCode::kCorrupt, "signer's socket: a message too long"};
  Bytes message(size);
  LOCKSTEP_TRY(read_exactly(socket, message, until_ns), "message");
  return message;
}

Status write_message(int socket, ByteView message) {
  const std::int64_t until_ns =
      system_clock().monotonic_ns() + std::int64_t{kExchangeMs} * 1'000'000;
  Bytes bytes;
  append_le(bytes, static_cast<std::uint32_t>(message.size()));
  bytes.insert(bytes.end(), message.begin(), message.end());
  ByteView rest = bytes;
  while (!rest.empty()) {
    if (!wait(socket, POLLOUT, until_ns)) {
      return Error{ErrorCode::kTimeout, "signer's socket: nobody reads"};
    }
    const ssize_t sent = ::send(socket, rest.data(), rest.size(), MSG_NOSIGNAL | MSG_DONTWAIT);
    if (sent < 0 && (errno == EINTR || errno == EAGAIN)) continue;
    if (sent <= 0) return Error{ErrorCode::kUnavailable, "signer's socket: closed"};
    rest = rest.subspan(static_cast<std::size_t>(sent));
  }
  return {};
}

Status serve_one(int connection, const std::function<Bytes(ByteView)>& answer) {
  LOCKSTEP_TRY_ASSIGN(const uid_t user, peer_user(connection), "peer");
  if (user != ::geteuid()) {
    return Error{ErrorCode::kPermission, "signer's socket: user " + std::to_string(user)};
  }
  LOCKSTEP_TRY_ASSIGN(const Bytes request, read_message(connection, kMaxSignRequestBytes), "read");
  return write_message(connection, answer(request));
}

}  // namespace

Status serve_signer(const std::string& path, const std::function<Bytes(ByteView)>& answer,
                    const std::atomic<bool>& stop) {
  const auto [folder, name] = split(path);
  LOCKSTEP_TRY_ASSIGN(const Descriptor listener, listen_unix(folder, name, kBacklog), "signer");
  log_event(LogLevel::kInfo, "signer_listens", {{"socket", path}});
  while (!stop.load()) {
    pollfd item{listener.get(), POLLIN, 0};
    if (::poll(&item, 1, kPollMs) <= 0) continue;
    const Descriptor connection(::accept4(listener.get(), nullptr, nullptr, SOCK_CLOEXEC));
    if (connection.get() < 0) continue;
    const Status served = serve_one(connection.get(), answer);
    if (!served.ok()) {
      log_event(LogLevel::kWarning, "signer_connection", {{"why", served.error().message}});
    }
  }
  ::unlink(path.c_str());
  return {};
}

Result<Bytes> ask_signer(const std::string& path, const SignRequest& request) {
  const auto [folder, name] = split(path);
  LOCKSTEP_TRY_ASSIGN(const Descriptor connection, connect_unix(folder, name), "signer");
  LOCKSTEP_TRY(write_message(connection.get(), encode_sign_request(request)), "signer");
  LOCKSTEP_TRY_ASSIGN(const Bytes answer, read_message(connection.get(), kMaxSignAnswerBytes),
                      "signer");
  return decode_sign_answer(answer);
}

Result<Bytes> SignerClient::sign(const Transaction& transaction) {
  return ask_signer(path_, TransactionRequest{transaction});
}

Result<Address> SignerClient::address() {
  LOCKSTEP_TRY_ASSIGN(const Bytes bytes, ask_signer(path_, AddressRequest{}), "signer");
  Address address;
  if (bytes.size() != address.bytes.size()) {
    return Error{ErrorCode::kCorrupt, "signer: the answer is no address"};
  }
  std::ranges::copy(bytes, address.bytes.begin());
  return address;
}

Result<Bytes> SignerClient::sign_header(const RollupHeader& header) {
  return ask_signer(path_, HeaderRequest{header});
}

Result<Bytes> SignerClient::sign_receipt(const ReceiptRequest& request) {
  return ask_signer(path_, request);
}

}  // namespace lockstep
