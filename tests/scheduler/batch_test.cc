#include "scheduler/batch.h"

#include <gtest/gtest.h>

#include "scheduler/batch_output.h"

namespace lockstep {
namespace {

RequestId id_of(std::uint8_t number) {
  RequestId id;
  id.bytes.fill(number);
  return id;
}

BatchRecord running(std::uint32_t total, std::uint32_t fed, std::uint32_t ended) {
  BatchRecord batch;
  EXPECT_TRUE(begin_batch(batch, total, 10).ok());
  batch.fed_lines = fed;
  batch.counts.completed = ended;
  return batch;
}

TEST(Batch, GoesFromValidatingToCompleted) {
  BatchRecord batch;
  EXPECT_FALSE(is_feeding(batch));
  ASSERT_TRUE(begin_batch(batch, 2, 10).ok());
  EXPECT_TRUE(is_feeding(batch));
  batch.fed_lines = 2;
  EXPECT_FALSE(is_feeding(batch));
  EXPECT_FALSE(is_ready_to_finalize(batch));
  batch.counts.completed = 1;
  batch.counts.failed = 1;
  EXPECT_TRUE(is_ready_to_finalize(batch));
  EXPECT_FALSE(finish_batch(batch, 20).ok());
  ASSERT_TRUE(finalize_batch(batch, id_of(1), id_of(2), 20).ok());
  EXPECT_EQ(batch.state, BatchState::kFinalizing);
  EXPECT_FALSE(is_ready_to_finalize(batch));
  EXPECT_FALSE(cancel_batch(batch, 25).ok());
  EXPECT_FALSE(expire_batch(batch, 25).ok());
  ASSERT_TRUE(finish_batch(batch, 30).ok());
  EXPECT_EQ(batch.state, BatchState::kCompleted);
  EXPECT_EQ(batch.ended_ms(), 30);
  EXPECT_FALSE(finish_batch(batch, 40).ok());
}

TEST(Batch, KeepsFinishedLinesWhenItIsCancelled) {
  BatchRecord batch = running(10, 4, 3);
  ASSERT_TRUE(cancel_batch(batch, 20).ok());
  EXPECT_EQ(batch.state, BatchState::kCancelling);
  EXPECT_FALSE(is_feeding(batch));
  EXPECT_FALSE(is_ready_to_finalize(batch));
  ASSERT_TRUE(cancel_batch(batch, 21).ok());  // Again.
  EXPECT_EQ(batch.cancelling_ms, 20);
  batch.counts.failed = 1;
  ASSERT_TRUE(finalize_batch(batch, id_of(1), id_of(2), 30).ok());
  EXPECT_EQ(batch.state, BatchState::kCancelling);
  EXPECT_EQ(batch.output_file, id_of(1));
  ASSERT_TRUE(finish_batch(batch, 40).ok());
  EXPECT_EQ(batch.state, BatchState::kCancelled);
  EXPECT_EQ(batch.ended_ms(), 40);
}

TEST(Batch, KeepsFinishedLinesWhenItExpires) {
  BatchRecord batch = running(10, 4, 4);
  ASSERT_TRUE(expire_batch(batch, 20).ok());
  EXPECT_EQ(batch.state, BatchState::kInProgress);
  EXPECT_FALSE(is_feeding(batch));
  EXPECT_FALSE(cancel_batch(batch, 21).ok());
  ASSERT_TRUE(finalize_batch(batch, id_of(1), id_of(2), 30).ok());
  ASSERT_TRUE(finish_batch(batch, 40).ok());
  EXPECT_EQ(batch.state, BatchState::kExpired);
  EXPECT_EQ(batch.expired_ms, 40);
}

TEST(Batch, EndsAtOnceWhileItIsValidated) {
  BatchRecord cancelled;
  ASSERT_TRUE(cancel_batch(cancelled, 5).ok());
  EXPECT_EQ(cancelled.state, BatchState::kCancelled);
  BatchRecord expired;
  ASSERT_TRUE(expire_batch(expired, 5).ok());
  EXPECT_EQ(expired.state, BatchState::kExpired);
  BatchRecord failed;
  ASSERT_TRUE(fail_batch(failed, std::vector<BatchError>(200), 5).ok());
  EXPECT_EQ(failed.state, BatchState::kFailed);
  EXPECT_EQ(failed.errors.size(), kMaxBatchErrors);
  for (BatchRecord* batch : {&cancelled, &expired, &failed}) {
    EXPECT_EQ(batch->ended_ms(), 5);
    EXPECT_FALSE(begin_batch(*batch, 1, 6).ok());
  }
}

TEST(ParseCompletionWindow, TakesSecondsMinutesHoursAndDays) {
  EXPECT_EQ(parse_completion_window("24h").value(), 86'400'000);
  EXPECT_EQ(parse_completion_window("90s").value(), 90'000);
  EXPECT_EQ(parse_completion_window("30m").value(), 1'800'000);
  EXPECT_EQ(parse_completion_window("30d").value(), 2'592'000'000);
  for (const char* text : {"", "24", "h", "0h", "-1h", "31d", "721h", "24h ", "24hh", "1w",
                           "9223372036854775807d", "99999999999999999999d"}) {
    EXPECT_FALSE(parse_completion_window(text).ok()) << text;
  }
}

TEST(BatchIds, ReadBackWithTheirPrefixAlone) {
  EXPECT_EQ(parse_batch_id(batch_id_text(id_of(0xAB))).value(), id_of(0xAB));
  EXPECT_EQ(parse_file_id(file_id_text(id_of(0xAB))).value(), id_of(0xAB));
  EXPECT_FALSE(parse_file_id(batch_id_text(id_of(1))).ok());
  EXPECT_FALSE(parse_batch_id("batch_").ok());
}

TEST(BatchOutputLine, HoldsTheResponseAsItIs) {
  const BatchLineResult result{.id = id_of(0x44),
                               .custom_id = "request-2",
                               .status_code = 200,
                               .body_json = R"({"z": 1.50,"a":[]})",
                               .error_code = "",
                               .error_message = ""};
  EXPECT_EQ(batch_output_line(result),
            R"({"id":"batch_req_44444444444444444444444444444444","custom_id":"request-2",)"
            R"("response":{"status_code":200,"request_id":"44444444444444444444444444444444",)"
            R"("body":{"z": 1.50,"a":[]}},"error":null})"
            "\n");
  EXPECT_TRUE(is_output(result));
}

TEST(BatchOutputLine, SaysWhyALineNeverRan) {
  const BatchLineResult result{.id = id_of(0x44),
                               .custom_id = "request-3",
                               .body_json = "",
                               .error_code = std::string(kBatchExpiredCode),
                               .error_message = std::string(kBatchExpiredMessage)};
  EXPECT_EQ(batch_output_line(result),
            R"({"id":"batch_req_44444444444444444444444444444444","custom_id":"request-3",)"
            R"("response":null,"error":{"code":"batch_expired","message":"This request could not )"
            R"(be executed before the completion window expired."}})"
            "\n");
  EXPECT_FALSE(is_output(result));
}

}  // namespace
}  // namespace lockstep
