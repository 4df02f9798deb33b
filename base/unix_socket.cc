#include "base/unix_socket.h"

#include <fcntl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "base/file.h"

namespace lockstep {
namespace {

// Names of sockets have at most 107 bytes and paths may be longer: the name goes through an open
// descriptor of the folder.
Result<sockaddr_un> address_of(int folder, const std::string& name) {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  const std::string path = "/proc/self/fd/" + std::to_string(folder) + "/" + name;
  if (path.size() >= sizeof address.sun_path) {
    return Error{ErrorCode::kInvalidArgument, "the socket's name is too long: " + name};
  }
  std::copy(path.begin(), path.end(), address.sun_path);
  return address;
}

Descriptor open_folder(const std::string& directory) {
  return Descriptor(::open(directory.c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC));
}

}  // namespace

Result<Descriptor> listen_unix(const std::string& directory, const std::string& name, int backlog) {
  const std::string path = directory + "/" + name;
  const Descriptor folder = open_folder(directory);
  if (folder.get() < 0) return system_error(errno, directory, "open");
  Descriptor listener(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  if (listener.get() < 0) return system_error(errno, path, "socket");
  LOCKSTEP_TRY_ASSIGN(const sockaddr_un address, address_of(folder.get(), name), directory);
  ::unlink(path.c_str());
  // The folder is its owner's alone: nobody comes in between the two calls.
  if (::bind(listener.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0) {
    return system_error(errno, path, "bind");
  }
  if (::chmod(path.c_str(), 0600) != 0) return system_error(errno, path, "chmod");
  if (::listen(listener.get(), backlog) != 0) return system_error(errno, path, "listen");
  return listener;
}

Result<Descriptor> connect_unix(const std::string& directory, const std::string& name) {
  const std::string path = directory + "/" + name;
  const Descriptor folder = open_folder(directory);
  if (folder.get() < 0) return system_error(errno, directory, "open");
  Descriptor connection(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
  if (connection.get() < 0) return system_error(errno, path, "socket");
  LOCKSTEP_TRY_ASSIGN(const sockaddr_un address, address_of(folder.get(), name), directory);
  if (::connect(connection.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) !=
      0) {
    return Error{ErrorCode::kUnavailable, path + ": nobody answers: " + std::strerror(errno)};
  }
  return connection;
}

Result<uid_t> peer_user(int connection) {
  ucred peer{};
  socklen_t size = sizeof peer;
  if (::getsockopt(connection, SOL_SOCKET, SO_PEERCRED, &peer, &size) != 0) {
    return system_error(errno, "socket", "peer");
  }
  return peer.uid;
}

}  // namespace lockstep
