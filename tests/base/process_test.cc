#include "base/process.h"

#include <gtest/gtest.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

namespace lockstep {
namespace {

// A child that does nothing until it is killed; reaped at the end.
class Sleeper {
 public:
  Sleeper() : pid_(::fork()) {
    if (pid_ == 0) {
      for (;;) ::pause();
    }
  }
  ~Sleeper() {
    ::kill(pid_, SIGKILL);
    ::waitpid(pid_, nullptr, 0);
  }
  Sleeper(const Sleeper&) = delete;
  Sleeper& operator=(const Sleeper&) = delete;
  pid_t pid() const { return pid_; }

 private:
  pid_t pid_;
};

TEST(StartTicksOf, AreThoseOfTheProcess) {
  const auto own = start_ticks_of(::getpid());
  ASSERT_TRUE(own.ok()) << own.error().message;
  EXPECT_GT(own.value(), 0U);
  EXPECT_EQ(this_process().start_ticks, own.value());
  EXPECT_EQ(this_process().pid, ::getpid());
  EXPECT_FALSE(this_process().host.empty());
  const Sleeper child;
  EXPECT_GE(start_ticks_of(child.pid()).value(), own.value());
  EXPECT_EQ(start_ticks_of(1'999'999'999).error().code, ErrorCode::kNotFound);
}

TEST(ProcessHandleOpen, RefusesAnotherProcessOfThePid) {
  const Sleeper child;
  const std::uint64_t ticks = start_ticks_of(child.pid()).value();
  EXPECT_TRUE(ProcessHandle::open(child.pid(), ticks).ok());
  EXPECT_TRUE(ProcessHandle::open(child.pid(), 0).ok());
  EXPECT_EQ(ProcessHandle::open(child.pid(), ticks + 1).error().code, ErrorCode::kNotFound);
  EXPECT_EQ(ProcessHandle::open(1'999'999'999, 0).error().code, ErrorCode::kNotFound);
}

TEST(ProcessHandleKill, EndsTheProcessAndNoLaterOne) {
  const Sleeper child;
  const auto handle = ProcessHandle::open(child.pid(), 0);
  ASSERT_TRUE(handle.ok());
  EXPECT_FALSE(handle.value().ended());

  handle.value().kill(SIGKILL);

  int status = 0;
  ASSERT_EQ(::waitpid(child.pid(), &status, 0), child.pid());
  EXPECT_TRUE(WIFSIGNALED(status));
  EXPECT_TRUE(handle.value().ended());
  handle.value().kill(SIGKILL);  // Of nobody.
}

}  // namespace
}  // namespace lockstep
