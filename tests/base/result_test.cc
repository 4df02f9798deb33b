#include "base/result.h"

#include <gtest/gtest.h>

#include <memory>

namespace lockstep {
namespace {

Status fails() { return Error{ErrorCode::kCorrupt, "part 7"}; }

Status passes_on(bool fail) {
  LOCKSTEP_TRY(fail ? fails() : Status(), "model.h5");
  return {};
}

Result<int> doubles(Result<int> input) {
  LOCKSTEP_TRY_ASSIGN(const int value, std::move(input), "double");
  return 2 * value;
}

TEST(StatusOk, IsTrueByDefaultAndFalseWithAnError) {
  EXPECT_TRUE(Status().ok());
  EXPECT_FALSE(fails().ok());
}

TEST(Try, PutsItsContextInFrontOfTheMessageAndKeepsTheCode) {
  const Status status = passes_on(true);
  ASSERT_FALSE(status.ok());
  EXPECT_EQ(status.error().message, "model.h5: part 7");
  EXPECT_EQ(status.error().code, ErrorCode::kCorrupt);
  EXPECT_TRUE(passes_on(false).ok());
}

TEST(TryAssign, GivesTheValueOrReturnsTheError) {
  EXPECT_EQ(doubles(21).value(), 42);
  const auto failed = doubles(Error{ErrorCode::kTimeout, "late"});
  ASSERT_FALSE(failed.ok());
  EXPECT_EQ(failed.error().message, "double: late");
  EXPECT_EQ(failed.error().code, ErrorCode::kTimeout);
}

TEST(ResultValue, MovesOutWhatCannotBeCopied) {
  Result<std::unique_ptr<int>> result(std::make_unique<int>(7));
  const std::unique_ptr<int> value = std::move(result).value();
  EXPECT_EQ(*value, 7);
}

TEST(ResultValueDeathTest, AbortsWithTheMessageOfTheError) {
  const Result<int> failed(Error{ErrorCode::kInternal, "the reason"});
  EXPECT_DEATH(static_cast<void>(failed.value()), "the reason");
}

TEST(StatusErrorDeathTest, AbortsOnSuccess) {
  const Status status;
  EXPECT_DEATH(static_cast<void>(status.error()), "successful Status");
}

TEST(ExitStatus, FollowsSysexits) {
  EXPECT_EQ(exit_status(ErrorCode::kInvalidArgument), 64);
  EXPECT_EQ(exit_status(ErrorCode::kCorrupt), 65);
  EXPECT_EQ(exit_status(ErrorCode::kNotFound), 66);
  EXPECT_EQ(exit_status(ErrorCode::kUnavailable), 69);
  EXPECT_EQ(exit_status(ErrorCode::kInternal), 70);
  EXPECT_EQ(exit_status(ErrorCode::kIo), 74);
  EXPECT_EQ(exit_status(ErrorCode::kTimeout), 75);
  EXPECT_EQ(exit_status(ErrorCode::kExhausted), 75);
  EXPECT_EQ(exit_status(ErrorCode::kPermission), 77);
}

TEST(ErrorCodeName, IsDifferentForEachCode) {
  EXPECT_EQ(error_code_name(ErrorCode::kCorrupt), "corrupt");
  EXPECT_NE(error_code_name(ErrorCode::kTimeout), error_code_name(ErrorCode::kAborted));
}

TEST(CheckDeathTest, PrintsPlaceConditionAndMessage) {
  EXPECT_DEATH(CHECK(1 + 1 == 3, "arithmetic is broken"),
               "result_test.cc:.*1 \\+ 1 == 3.*arithmetic is broken");
}

}  // namespace
}  // namespace lockstep
