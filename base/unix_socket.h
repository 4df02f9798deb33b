// Stream sockets in the file system, for their owner alone (mode 0600).
#pragma once

#include <sys/types.h>

#include <string>

#include "base/descriptor.h"
#include "base/result.h"

namespace lockstep {

// Listens at `name` in `directory`, not blocking; what is there from a process before is replaced.
// Requires: the directory is its owner's alone, and the caller is the only one to listen there.
Result<Descriptor> listen_unix(const std::string& directory, const std::string& name, int backlog);

// Connects, blocking. kUnavailable when nobody listens there.
Result<Descriptor> connect_unix(const std::string& directory, const std::string& name);

// The user at the other end of a connection.
Result<uid_t> peer_user(int connection);

}  // namespace lockstep
