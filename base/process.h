// Processes of this machine, by pid and the moment of their start: a pid alone may be another's by
// now.
#pragma once

#include <cstdint>
#include <string>

#include "base/result.h"
#include "base/wire.h"

namespace lockstep {

std::string host_name();
RankProcess this_process();

// /proc/PID/stat from field 3, the state, on. kNotFound when there is no such process.
Result<std::string> process_stat(std::int64_t pid);

// When the process began, in clock ticks since the machine did (/proc/PID/stat, field 22).
// kNotFound when there is none.
Result<std::uint64_t> start_ticks_of(std::int64_t pid);

// A process held by a descriptor (pidfd): it can be waited for and killed, and never mistaken for
// another one. Any process of this user, not only children.
class ProcessHandle {
 public:
  ProcessHandle() = default;
  ProcessHandle(ProcessHandle&& other) noexcept;
  ProcessHandle& operator=(ProcessHandle&& other) noexcept;
  ~ProcessHandle();

  // kNotFound when there is no such process, or another with its pid. `start_ticks` 0: whichever
  // has the pid now.
  static Result<ProcessHandle> open(std::int64_t pid, std::uint64_t start_ticks);

  // Readable (POLLIN) when the process has ended, as a zombie too.
  int fd() const { return fd_; }
  std::int64_t pid() const { return pid_; }
  bool ended() const;
  // Nothing happens when it has ended.
  void kill(int signal) const;

 private:
  ProcessHandle(int fd, std::int64_t pid) : fd_(fd), pid_(pid) {}
  int fd_ = -1;
  std::int64_t pid_ = 0;
};

}  // namespace lockstep
