#include "base/process.h"

#include <poll.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <charconv>
#include <fstream>
#include <utility>

#include "base/file.h"

namespace lockstep {
namespace {

// By number: glibc 2.36 has functions for them, older ones have not.
int pidfd_open(std::int64_t pid) {
  return static_cast<int>(::syscall(SYS_pidfd_open, static_cast<pid_t>(pid), 0U));
}

Error no_process(std::int64_t pid, const char* why) {
  return {ErrorCode::kNotFound, "process " + std::to_string(pid) + ": " + why};
}

}  // namespace

std::string host_name() {
  std::array<char, 256> name{};
  if (::gethostname(name.data(), name.size() - 1) != 0) return "localhost";
  return name.data();
}

RankProcess this_process() {
  const std::int64_t pid = ::getpid();
  const auto ticks = start_ticks_of(pid);
  return {host_name(), pid, ticks.ok() ? ticks.value() : 0};
}

Result<std::string> process_stat(std::int64_t pid) {
  std::ifstream file("/proc/" + std::to_string(pid) + "/stat");
  std::string stat;
  // Field 2 is the program's name in parentheses, with anything in it, line ends too.
  if (!std::getline(file, stat, '\0')) return no_process(pid, "there is none");
  const std::size_t name_end = stat.rfind(") ");
  if (name_end == stat.npos) return no_process(pid, "no name in its stat file");
  return stat.substr(name_end + 2);
}

Result<std::uint64_t> start_ticks_of(std::int64_t pid) {
  LOCKSTEP_TRY_ASSIGN(const std::string stat, process_stat(pid), "start time");
  std::string_view rest = stat;
  for (int field = 3; field < 22; ++field) {
    const std::size_t space = rest.find(' ');
    if (space == std::string_view::npos) return no_process(pid, "a short stat file");
    rest.remove_prefix(space + 1);
  }
  std::uint64_t ticks = 0;
  const auto [end, error] = std::from_chars(rest.data(), rest.data() + rest.size(), ticks);
  if (error != std::errc()) return no_process(pid, "no start time in its stat file");
  return ticks;
}

ProcessHandle::ProcessHandle(ProcessHandle&& other) noexcept
    : fd_(std::exchange(other.fd_, -1)), pid_(std::exchange(other.pid_, 0)) {}

ProcessHandle& ProcessHandle::operator=(ProcessHandle&& other) noexcept {
  std::swap(fd_, other.fd_);
  std::swap(pid_, other.pid_);
  return *this;
}

ProcessHandle::~ProcessHandle() {
  if (fd_ >= 0) ::close(fd_);
}

Result<ProcessHandle> ProcessHandle::open(std::int64_t pid, std::uint64_t start_ticks) {
  ProcessHandle handle(pidfd_open(pid), pid);
  if (handle.fd_ < 0) {
    if (errno == ESRCH || errno == EINVAL) return no_process(pid, "there is none");
    return system_error(errno, "process " + std::to_string(pid), "pidfd_open");
  }
  if (start_ticks == 0) return handle;
  // After the descriptor is held: what the file says is now of the process that is held, or of one
  // that started later.
  const auto ticks = start_ticks_of(pid);
  if (!ticks.ok()) return ticks.error();
  if (ticks.value() != start_ticks) return no_process(pid, "the pid is another process's by now");
  return handle;
}

bool ProcessHandle::ended() const {
  pollfd item{fd_, POLLIN, 0};
  return ::poll(&item, 1, 0) > 0;
}

void ProcessHandle::kill(int signal) const {
  (void)::syscall(SYS_pidfd_send_signal, fd_, signal, nullptr, 0U);
}

}  // namespace lockstep
