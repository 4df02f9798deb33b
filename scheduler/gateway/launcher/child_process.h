// Starting a program as the leader of a process group of its own, with nothing of ours but stderr.
#pragma once

#include <sys/types.h>

#include <string>
#include <vector>

#include "base/result.h"

namespace lockstep {

// Starts arguments[0], looked up in PATH. stdin is empty, stdout goes where stderr goes, no other
// descriptor is inherited, no signal is blocked or ignored. The caller must reap it.
Result<pid_t> start_child(const std::vector<std::string>& arguments);

// "exited with status 3", "was killed by signal 9": of a child that has ended, which is reaped.
std::string reap_child(pid_t pid);

// The parent of a process, 0 when there is none.
pid_t parent_of(pid_t pid);

}  // namespace lockstep
