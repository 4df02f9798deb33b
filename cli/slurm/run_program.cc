#include "cli/slurm/run_program.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <chrono>
#include <utility>

#include "base/descriptor.h"
#include "base/file.h"

namespace lockstep {
namespace {

struct Pipe {
  Descriptor read;
  Descriptor write;
};

Result<Pipe> make_pipe() {
  std::array<int, 2> ends{};
  if (::pipe2(ends.data(), O_CLOEXEC) != 0) return system_error(errno, "pipe", "make");
  return Pipe{Descriptor(ends[0]), Descriptor(ends[1])};
}

struct Pipes {
  Pipe in;  // As the program sees them.
  Pipe out;
  Pipe error;
};

// The child's end of the three pipes.
Result<pid_t> spawn(const std::vector<std::string>& arguments, const Pipes& pipes) {
  std::vector<char*> pointers;
  for (const std::string& argument : arguments) {
    pointers.push_back(const_cast<char*>(argument.c_str()));
  }
  pointers.push_back(nullptr);
  posix_spawn_file_actions_t actions;
  posix_spawn_file_actions_init(&actions);
  posix_spawn_file_actions_adddup2(&actions, pipes.in.read.get(), STDIN_FILENO);
  posix_spawn_file_actions_adddup2(&actions, pipes.out.write.get(), STDOUT_FILENO);
  posix_spawn_file_actions_adddup2(&actions, pipes.error.write.get(), STDERR_FILENO);
  pid_t pid = 0;
  const int failed = ::posix_spawnp(&pid, pointers[0], &actions, nullptr, pointers.data(), environ);
  posix_spawn_file_actions_destroy(&actions);
  if (failed != 0) return system_error(failed, arguments[0], "start");
  return pid;
}

// What has come, or false at its end.
bool take(int descriptor, std::string& text) {
  std::array<char, 16 << 10> buffer{};
  const ssize_t got = ::read(descriptor, buffer.data(), buffer.size());
  if (got < 0) return errno == EINTR || errno == EAGAIN;
  if (got == 0) return false;
  const std::size_t room = kMaxProgramOutput - std::min(kMaxProgramOutput, text.size());
  text.append(buffer.data(), std::min(room, static_cast<std::size_t>(got)));
  return true;
}

// What the program still takes of `text`; nothing of it is left when it does not want the rest.
void feed(int descriptor, std::string_view& text) {
  const ssize_t wrote = ::write(descriptor, text.data(), text.size());
  if (wrote > 0) text.remove_prefix(static_cast<std::size_t>(wrote));
  if (wrote < 0 && errno != EINTR && errno != EAGAIN) text = {};
}

// Feeds and reads until both outputs have ended. False: out of time.
bool converse(Pipes& pipes, std::string_view text, ProgramOutput& result, int timeout_ms) {
  using Clock = std::chrono::steady_clock;
  const auto end = Clock::now() + std::chrono::milliseconds(timeout_ms);
  const int out = pipes.out.read.get();
  const int error = pipes.error.read.get();
  bool is_out_open = true;
  bool is_error_open = true;
  while (is_out_open || is_error_open) {
    const auto left = std::chrono::duration_cast<std::chrono::milliseconds>(end - Clock::now());
    if (left.count() <= 0) return false;
    if (text.empty()) pipes.in.write.close();
    std::array<pollfd, 3> waits = {pollfd{is_out_open ? out : -1, POLLIN, 0},
                                   pollfd{is_error_open ? error : -1, POLLIN, 0},
                                   pollfd{pipes.in.write.get(), POLLOUT, 0}};  // Negative: no wait.
    if (::poll(waits.data(), waits.size(), static_cast<int>(left.count())) < 0) continue;
    if (waits[0].revents != 0) is_out_open = take(out, result.out);
    if (waits[1].revents != 0) is_error_open = take(error, result.error);
    if (waits[2].revents != 0) feed(pipes.in.write.get(), text);
  }
  return true;
}

}  // namespace

Result<ProgramOutput> run_program(const std::vector<std::string>& arguments,
                                  const std::string& input, int timeout_ms) {
  Pipes pipes;
  for (Pipe* const one : {&pipes.in, &pipes.out, &pipes.error}) {
    LOCKSTEP_TRY_ASSIGN(*one, make_pipe(), arguments[0]);
  }
  LOCKSTEP_TRY_ASSIGN(const pid_t pid, spawn(arguments, pipes), arguments[0]);
  pipes.in.read.close();
  pipes.out.write.close();
  pipes.error.write.close();
  (void)::fcntl(pipes.in.write.get(), F_SETFL, O_NONBLOCK);
  ProgramOutput result;
  // One that closes its stdin early must not end us.
  struct sigaction ignore = {};
  struct sigaction before = {};
  ignore.sa_handler = SIG_IGN;
  (void)::sigaction(SIGPIPE, &ignore, &before);
  const bool ended = converse(pipes, input, result, timeout_ms);
  (void)::sigaction(SIGPIPE, &before, nullptr);
  if (!ended) (void)::kill(pid, SIGKILL);
  int status = 0;
  while (::waitpid(pid, &status, 0) < 0 && errno == EINTR) {
  }
  if (!ended) {
    return Error{ErrorCode::kTimeout,
                 arguments[0] + ": no answer in " + std::to_string(timeout_ms / 1000) + " s"};
  }
  result.status = WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
  return result;
}

}  // namespace lockstep
