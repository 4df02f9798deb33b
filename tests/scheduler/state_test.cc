#include "scheduler/state.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <future>

#include "tests/support/scratch_directory.h"

namespace lockstep {
namespace {

using testing::HasSubstr;

class State : public testing::Test {
 protected:
  // With one job.
  void SetUp() override {
    const auto store = open_store(directory()).value();
    JobRecord job;
    job.id.bytes[0] = 1;
    std::promise<Status> done;
    store->jobs().commit({InsertJob{job}}, [&](Status status) { done.set_value(status); });
    ASSERT_TRUE(done.get_future().get().ok());
  }
  std::string directory() const { return scratch_.file("state"); }
  std::string copy() const { return scratch_.file("copy.sqlite"); }

  ScratchDirectory scratch_;
};

TEST_F(State, IsBackedUpAndRestoredByACopy) {
  const Status status = backup_state(directory(), copy());
  ASSERT_TRUE(status.ok()) << status.error().message;
  const std::string path = directory() + "/gateway.sqlite";
  std::filesystem::remove(path);
  std::filesystem::copy(copy(), path);
  const Result<StateSummary> summary = check_state(directory());
  ASSERT_TRUE(summary.ok()) << summary.error().message;
  EXPECT_EQ(summary.value().jobs, 1U);
  EXPECT_EQ(summary.value().waiting, 1U);
  EXPECT_EQ(summary.value().epoch, 1U);
}

TEST_F(State, IsLeftAloneWhileAGatewayHasIt) {
  const auto store = open_store(directory()).value();
  for (const Status& status :
       {backup_state(directory(), copy()), Status(check_state(directory()).error())}) {
    ASSERT_FALSE(status.ok());
    EXPECT_EQ(status.error().code, ErrorCode::kUnavailable);
    EXPECT_THAT(status.error().message, HasSubstr("process " + std::to_string(::getpid())));
  }
  EXPECT_FALSE(std::filesystem::exists(copy()));
}

TEST_F(State, IsNeverMadeByLookingAtIt) {
  const std::string none = scratch_.file("none");
  EXPECT_EQ(backup_state(none, copy()).error().code, ErrorCode::kNotFound);
  EXPECT_EQ(check_state(none).error().code, ErrorCode::kNotFound);
  EXPECT_FALSE(std::filesystem::exists(none));
}

TEST_F(State, SaysWhatIsDamaged) {
  // The last page: an index or a table, never the header.
  const std::string path = directory() + "/gateway.sqlite";
  const auto size = static_cast<std::streamoff>(std::filesystem::file_size(path));
  std::fstream file(path, std::ios::binary | std::ios::in | std::ios::out);
  file.seekp(size - 4096);
  file << std::string(4096, '\x5A');
  file.close();
  const Result<StateSummary> summary = check_state(directory());
  ASSERT_FALSE(summary.ok());
  EXPECT_EQ(summary.error().code, ErrorCode::kCorrupt);
  EXPECT_THAT(summary.error().message, HasSubstr(path));
  EXPECT_THAT(summary.error().message, HasSubstr("state backup"));
}

}  // namespace
}  // namespace lockstep
