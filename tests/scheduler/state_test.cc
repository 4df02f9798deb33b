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

TEST_F(State, KnowsWhatEachTenantUsed) {
  JobRecord job;
  job.id.bytes[0] = 2;
  job.tenant = "physics/ada";
  job.prompt = {1, 2, 3, 4};
  job.created_ms = 1'000;
  const ChoiceKey key{job.id, 0};
  const ChoiceEnd end{.status = {}, .num_tokens = 3, .cached_tokens = 1, .computed_tokens = 6};
  const JobOutcome outcome{.state = JobState::kDone, .ended_ms = 5'000, .error = {}};
  {
    const auto store = open_store(directory()).value();
    std::promise<Status> done;
    store->jobs().commit({InsertJob{job}, AppendTokens{key, 0, std::vector<CompletionToken>(3)},
                          EndChoice{key, end}, EndJob{job.id, outcome}},
                         [&](Status status) { done.set_value(status); });
    ASSERT_TRUE(done.get_future().get().ok());
  }
  const auto usage = read_usage(directory(), 5'000);
  ASSERT_TRUE(usage.ok()) << usage.error().message;
  ASSERT_EQ(usage.value().size(), 1U);  // The job that waits has used nothing.
  const TenantUsage& one = usage.value()[0];
  EXPECT_EQ(one.tenant, "physics/ada");
  EXPECT_EQ(one.requests, 1U);
  EXPECT_EQ(one.failed, 0U);
  EXPECT_EQ(one.prompt_tokens, 4U);
  EXPECT_EQ(one.cached_tokens, 1U);
  EXPECT_EQ(one.completion_tokens, 3U);
  EXPECT_EQ(one.computed_tokens, 6U);
  EXPECT_EQ(one.elapsed_ms, 4'000U);
  EXPECT_TRUE(read_usage(directory(), 5'001).value().empty());
}

TEST_F(State, IsWaitedForUntilItsGatewayHasClosed) {
  auto store = open_store(directory()).value();
  const auto never = [] { return false; };
  EXPECT_EQ(wait_for_state(directory(), 0, never).error().code, ErrorCode::kUnavailable);
  EXPECT_EQ(wait_for_state(directory(), 60'000, [] { return true; }).error().code,
            ErrorCode::kAborted);
  auto waiting =
      std::async(std::launch::async, [&] { return wait_for_state(directory(), 60'000, never); });
  store.reset();
  EXPECT_TRUE(waiting.get().ok());
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
