#include "scheduler/gateway/admin/admin_socket.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>

#include <future>
#include <vector>

#include "tests/support/scratch_directory.h"

namespace lockstep {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

constexpr const char* kName = "asked.sock";

class AdminSocketTest : public testing::Test {
 protected:
  void listen(AdminSocket::Handler handler) {
    auto started = AdminSocket::start(folder(), kName, std::move(handler));
    ASSERT_TRUE(started.ok()) << started.error().message;
    socket_ = std::move(started).value();
  }
  Status ask(const std::string& path) { return ask_gateway(folder(), kName, {path}); }
  std::string folder() const { return scratch_.path(); }

  ScratchDirectory scratch_;
  std::unique_ptr<AdminSocket> socket_;
};

TEST_F(AdminSocketTest, GivesOrdersAndTheirAnswers) {
  std::vector<std::string> paths;
  listen([&](const AdminOrder& order, const AdminSocket::Answer& answer) {
    paths.push_back(order.backup_path);
    answer(paths.size() == 1 ? Status() : Error{ErrorCode::kExhausted, "no room"});
  });
  EXPECT_TRUE(ask("/first").ok());
  const Status second = ask("/second");
  ASSERT_FALSE(second.ok());
  EXPECT_EQ(second.error().code, ErrorCode::kExhausted);
  EXPECT_EQ(second.error().message, "no room");
  EXPECT_THAT(paths, ElementsAre("/first", "/second"));
}

TEST_F(AdminSocketTest, WaitsForAnAnswerFromAnotherThread) {
  std::promise<AdminSocket::Answer> given;
  listen([&](const AdminOrder&, const AdminSocket::Answer& answer) { given.set_value(answer); });
  std::thread answering([&] { given.get_future().get()({}); });
  EXPECT_TRUE(ask("/copy").ok());
  answering.join();
}

TEST_F(AdminSocketTest, RefusesWhatIsNoOrder) {
  bool was_called = false;
  listen([&](const AdminOrder&, const AdminSocket::Answer& answer) {
    was_called = true;
    answer({});
  });
  EXPECT_EQ(ask("relative").error().code, ErrorCode::kInvalidArgument);
  EXPECT_EQ(ask("/" + std::string(2 * kMaxAdminLineBytes, 'x')).error().code,
            ErrorCode::kInvalidArgument);
  EXPECT_FALSE(was_called);
}

TEST_F(AdminSocketTest, EndsWhileAnOrderWaits) {
  std::promise<AdminSocket::Answer> given;
  listen([&](const AdminOrder&, const AdminSocket::Answer& answer) { given.set_value(answer); });
  std::thread ending([&] {
    const AdminSocket::Answer answer = given.get_future().get();
    socket_.reset();
    answer({});  // Too late, and harmless.
  });
  const Status status = ask("/copy");
  ending.join();
  ASSERT_FALSE(status.ok());
  EXPECT_EQ(status.error().code, ErrorCode::kUnavailable);
}

TEST_F(AdminSocketTest, IsItsOwnersAlone) {
  listen([](const AdminOrder&, const AdminSocket::Answer& answer) { answer({}); });
  struct stat info {};
  ASSERT_EQ(::stat((folder() + "/" + kName).c_str(), &info), 0);
  EXPECT_EQ(info.st_mode & 0777, 0600U);
}

TEST_F(AdminSocketTest, TakesThePlaceOfADeadOne) {
  scratch_.write(kName, {});
  listen([](const AdminOrder&, const AdminSocket::Answer& answer) { answer({}); });
  EXPECT_TRUE(ask("/copy").ok());
}

TEST_F(AdminSocketTest, IsMissingWhereNoGatewayRuns) {
  const Status status = ask("/copy");
  ASSERT_FALSE(status.ok());
  EXPECT_EQ(status.error().code, ErrorCode::kUnavailable);
  EXPECT_THAT(status.error().message, HasSubstr(kName));
}

// Paths of Unix sockets end at 107 bytes, paths of state directories do not.
TEST_F(AdminSocketTest, ListensInADeepFolder) {
  std::string folder = this->folder();
  for (int i = 0; i < 3; ++i) {
    folder += "/" + std::string(100, 'x');
    ASSERT_EQ(::mkdir(folder.c_str(), 0700), 0);
  }
  const auto socket = AdminSocket::start(
      folder, kName, [](const AdminOrder&, const AdminSocket::Answer& answer) { answer({}); });
  ASSERT_TRUE(socket.ok()) << socket.error().message;
  EXPECT_TRUE(ask_gateway(folder, kName, {"/copy"}).ok());
}

}  // namespace
}  // namespace lockstep
