// What is removed when, and what stays behind; files and batches.
#include <gmock/gmock.h>

#include <filesystem>
#include <fstream>

#include "tests/scheduler/gateway/store/store_support.h"

namespace lockstep {
namespace {

constexpr std::int64_t kHour = 3'600;  // Seconds.
constexpr std::int64_t kDay = 24 * kHour;

class StoreRetention : public StateStoreTest {
 protected:
  void SetUp() override { open(); }

  // Ends a job at second 1000.
  void end(const JobRecord& job) {
    ASSERT_TRUE(
        commit(*store_, {InsertJob{job}, EndJob{job.id, {JobState::kDone, 1'000'000, ""}}}).ok());
  }
  // What a load gives as of then: opening removes what is old within a moment, longer on a busy
  // machine. kInternal: it is there, and still is after that moment.
  void expect_code(ErrorCode expected, std::int64_t seconds, RequestId id,
                   const std::string& tenant = "") {
    clock_.set_seconds(seconds);
    open();
    const int looks = expected == ErrorCode::kInternal ? 50 : 5000;
    ErrorCode code = ErrorCode::kInternal;
    for (int i = 0; i < looks; ++i) {
      const Result<StoredJob> stored = load(*store_, id, tenant);
      code = stored.ok() ? ErrorCode::kInternal : stored.error().code;
      if (expected != ErrorCode::kInternal && code == expected) break;
      ::usleep(1000);
    }
    EXPECT_EQ(code, expected) << "at second " << seconds;
  }
  Result<BatchRecord> load_batch(RequestId id, const std::string& tenant = "") {
    return wait_for<Result<BatchRecord>>(
        [&](auto done) { store_->batches().load_batch(tenant, id, std::move(done)); });
  }
  Result<FileRecord> load_file(RequestId id, const std::string& tenant = "") {
    return wait_for<Result<FileRecord>>(
        [&](auto done) { store_->batches().load_file(tenant, id, std::move(done)); });
  }
};

TEST_F(StoreRetention, KeepsARequestForAnHourAndThenItsId) {
  end(test_job(1));
  expect_code(ErrorCode::kInternal, 1000 + kHour - 1, test_id(1));
  expect_code(ErrorCode::kAborted, 1000 + kHour, test_id(1));
  // Whose it was is still known.
  expect_code(ErrorCode::kAborted, 1000 + kHour, test_id(1), "alice");
  expect_code(ErrorCode::kNotFound, 1000 + kHour, test_id(1), "bob");
  // And in the end not even that.
  expect_code(ErrorCode::kNotFound, 1000 + 30 * kDay + 1, test_id(1));
}

TEST_F(StoreRetention, KeepsAJobForAWeek) {
  JobRecord job = test_job(1);
  job.kind = JobKind::kJob;
  end(job);
  expect_code(ErrorCode::kInternal, 1000 + 7 * kDay - 1, job.id);
  expect_code(ErrorCode::kAborted, 1000 + 7 * kDay, job.id);
}

TEST_F(StoreRetention, KeepsARequestAsLongAsItsIdempotencyKey) {
  JobRecord job = test_job(1);
  job.idempotency_key = "k";
  end(job);
  expect_code(ErrorCode::kInternal, 1000 + kDay - 1, job.id);
  expect_code(ErrorCode::kAborted, 1000 + kDay, job.id);
  const auto holder = wait_for<Result<JobStore::KeyHolder>>([&](auto done) {
    store_->jobs().find_key("alice", "/v1/completions", "k", std::move(done));
  });
  EXPECT_EQ(holder.error().code, ErrorCode::kNotFound);
}

TEST_F(StoreRetention, NeverRemovesWhatHasNotEnded) {
  ASSERT_TRUE(commit(*store_, {InsertJob{test_job(1)}}).ok());
  expect_code(ErrorCode::kInternal, 1000 + 365 * kDay, test_id(1));
}

TEST_F(StoreRetention, KeepsTheLinesOfABatchUntilItHasEnded) {
  BatchRecord batch;
  batch.id = test_id(100);
  batch.tenant = "alice";
  ASSERT_TRUE(begin_batch(batch, 2, 1'000'000).ok());
  JobRecord line = test_job(1);
  line.kind = JobKind::kBatchLine;
  line.batch = batch.id;
  ASSERT_TRUE(commit(*store_, {InsertBatch{batch}}).ok());
  end(line);
  expect_code(ErrorCode::kInternal, 1000 + kDay, line.id);

  batch.fed_lines = 1;
  batch.counts.completed = 1;
  ASSERT_TRUE(cancel_batch(batch, 2'000'000).ok());
  ASSERT_TRUE(finalize_batch(batch, test_id(101), test_id(102), 2'000'000).ok());
  ASSERT_TRUE(finish_batch(batch, 2'000'000).ok());
  ASSERT_TRUE(commit(*store_, {UpdateBatch{batch}}).ok());
  expect_code(ErrorCode::kAborted, 2000 + kHour, line.id);
  EXPECT_TRUE(load_batch(batch.id).ok());
  clock_.set_seconds(2000 + 30 * kDay);
  open();
  for (int i = 0; i < 1000 && load_batch(batch.id).ok(); ++i) ::usleep(1000);
  EXPECT_EQ(load_batch(batch.id).error().code, ErrorCode::kNotFound);
}

TEST_F(StoreRetention, RemovesAnExpiredFileAndItsBytes) {
  FileRecord file;
  file.id = test_id(1);
  file.tenant = "alice";
  file.expires_ms = 2'000'000;
  ASSERT_TRUE(commit(*store_, {InsertFile{file}}).ok());
  const std::string path = store_->directory().file_path(file.id);
  std::ofstream(path) << "bytes";
  open();
  EXPECT_TRUE(std::filesystem::exists(path));
  clock_.set_seconds(2000);
  open();
  for (int i = 0; i < 1000 && std::filesystem::exists(path); ++i) ::usleep(1000);
  EXPECT_FALSE(std::filesystem::exists(path));
  EXPECT_EQ(load_file(file.id).error().code, ErrorCode::kNotFound);
}

TEST_F(StoreRetention, RemovesBytesWithoutARowWhenItOpens) {
  const std::string path = store_->directory().file_path(test_id(7));
  std::ofstream(path) << "half an upload";
  std::ofstream(path + ".partial") << "half an upload";
  open();
  EXPECT_FALSE(std::filesystem::exists(path));
  EXPECT_FALSE(std::filesystem::exists(path + ".partial"));
}

BatchRecord every_batch_field() {
  BatchRecord batch;
  batch.id = test_id(3);
  batch.tenant = "alice";
  batch.endpoint = "/v1/completions";
  batch.input_file = test_id(4);
  batch.completion_window = "24h";
  batch.metadata = {{"z", "1"}, {"a", "\"quoted\" \n"}};
  batch.state = BatchState::kCancelling;
  batch.errors = {{"duplicate_custom_id", "twice", "custom_id", 7}, {"empty_file", "none", "", 0}};
  batch.output_file = test_id(5);
  batch.error_file = test_id(6);
  batch.counts = {.total = 10};
  batch.fed_lines = 9;
  batch.fed_bytes = std::uint64_t{1} << 33;
  batch.is_cancelled = true;
  batch.is_expired = true;
  std::int64_t time = 1'000'000;
  for (std::int64_t* one : {&batch.created_ms, &batch.expires_ms, &batch.in_progress_ms,
                            &batch.finalizing_ms, &batch.completed_ms, &batch.failed_ms,
                            &batch.expired_ms, &batch.cancelling_ms, &batch.cancelled_ms}) {
    *one = ++time;
  }
  return batch;
}

class SqliteBatchStoreTest : public StoreRetention {};

TEST_F(SqliteBatchStoreTest, GivesEveryFieldOfABatchBack) {
  const BatchRecord batch = every_batch_field();
  ASSERT_TRUE(commit(*store_, {InsertBatch{batch}}).ok());
  open();
  const Result<BatchRecord> loaded = load_batch(batch.id, "alice");
  ASSERT_TRUE(loaded.ok()) << loaded.error().message;
  EXPECT_EQ(loaded.value(), batch);
  EXPECT_EQ(load_batch(batch.id, "bob").error().code, ErrorCode::kNotFound);
}

TEST_F(SqliteBatchStoreTest, CountsEndedLinesItself) {
  BatchRecord batch;
  batch.id = test_id(100);
  ASSERT_TRUE(begin_batch(batch, 3, 1).ok());
  std::vector<StoreWrite> writes = {InsertBatch{batch}};
  for (std::uint32_t i = 1; i <= 3; ++i) {
    JobRecord line = test_job(i);
    line.kind = JobKind::kBatchLine;
    line.batch = batch.id;
    line.custom_id = std::to_string(i);
    writes.emplace_back(InsertJob{line});
  }
  batch.fed_lines = 3;
  writes.emplace_back(UpdateBatch{batch});
  ASSERT_TRUE(commit(*store_, std::move(writes)).ok());
  for (int twice = 0; twice < 2; ++twice) {
    ASSERT_TRUE(commit(*store_, {EndJob{test_id(1), {JobState::kDone, 2, ""}},
                                 EndJob{test_id(3), {JobState::kExpired, 2, ""}}})
                    .ok());
  }
  // What the caller believes of the counts does not matter.
  ASSERT_TRUE(commit(*store_, {UpdateBatch{batch}}).ok());

  EXPECT_EQ(load_batch(batch.id).value().counts, (BatchCounts{3, 1, 1}));
  const auto lines = [&](RequestId after, std::uint32_t limit) {
    return wait_for<Result<std::vector<StoredJob>>>([&](auto done) {
             store_->batches().load_lines(batch.id, after, limit, std::move(done));
           })
        .value();
  };
  ASSERT_EQ(lines({}, 10).size(), 2U);
  EXPECT_EQ(lines({}, 10)[0].record.custom_id, "1");
  EXPECT_EQ(lines({}, 10)[1].record.custom_id, "3");
  EXPECT_EQ(lines({}, 10)[1].state, JobState::kExpired);
  ASSERT_EQ(lines(test_id(1), 1).size(), 1U);
  EXPECT_EQ(lines(test_id(1), 1)[0].record.id, test_id(3));
}

TEST_F(SqliteBatchStoreTest, ListsBatchesThatAreOpenAndThoseOfATenant) {
  for (std::uint32_t i = 1; i <= 4; ++i) {
    BatchRecord batch;
    batch.id = test_id(i);
    batch.tenant = i == 2 ? "bob" : "alice";
    if (i == 3) {
      ASSERT_TRUE(fail_batch(batch, {}, 1'000'000).ok());
    }
    ASSERT_TRUE(commit(*store_, {InsertBatch{batch}}).ok());
  }
  const auto open_batches = wait_for<Result<std::vector<BatchRecord>>>(
      [&](auto done) { store_->batches().load_open_batches(std::move(done)); });
  ASSERT_EQ(open_batches.value().size(), 3U);
  const auto page = wait_for<Result<std::vector<BatchRecord>>>([&](auto done) {
    store_->batches().list_batches("alice", {.before = test_id(4), .limit = 5}, std::move(done));
  });
  ASSERT_EQ(page.value().size(), 2U);
  EXPECT_EQ(page.value()[0].id, test_id(3));
  EXPECT_EQ(page.value()[1].id, test_id(1));
}

TEST_F(SqliteBatchStoreTest, KeepsFilesByTenantAndSumsTheirBytes) {
  for (std::uint32_t i = 1; i <= 3; ++i) {
    const FileRecord file{.id = test_id(i),
                          .tenant = i == 3 ? "bob" : "alice",
                          .purpose = i == 2 ? "batch_output" : "batch",
                          .filename = "in.jsonl",
                          .bytes = 100 * i,
                          .created_ms = 1};
    ASSERT_TRUE(commit(*store_, {InsertFile{file}}).ok());
  }
  const auto sum = [&] {
    return wait_for<Result<std::uint64_t>>(
               [&](auto done) { store_->batches().sum_file_bytes("alice", std::move(done)); })
        .value();
  };
  const auto list = [&](const char* purpose) {
    return wait_for<Result<std::vector<FileRecord>>>([&](auto done) {
             store_->batches().list_files("alice", purpose, {}, std::move(done));
           })
        .value();
  };
  EXPECT_EQ(sum(), 300U);
  EXPECT_EQ(list("").size(), 2U);
  ASSERT_EQ(list("batch").size(), 1U);
  EXPECT_EQ(list("batch")[0].filename, "in.jsonl");
  EXPECT_EQ(load_file(test_id(3), "alice").error().code, ErrorCode::kNotFound);
  ASSERT_TRUE(commit(*store_, {RemoveFile{test_id(1)}}).ok());
  EXPECT_EQ(commit(*store_, {RemoveFile{test_id(1)}}).error().code, ErrorCode::kNotFound);
  EXPECT_EQ(sum(), 200U);
}

TEST_F(SqliteBatchStoreTest, KeepsAFileThatAnOpenBatchReads) {
  FileRecord file;
  file.id = test_id(1);
  file.expires_ms = 2'000'000;
  BatchRecord batch;
  batch.id = test_id(2);
  batch.input_file = file.id;
  ASSERT_TRUE(commit(*store_, {InsertFile{file}, InsertBatch{batch}}).ok());
  const Status refused = commit(*store_, {RemoveFile{file.id}});
  EXPECT_EQ(refused.error().code, ErrorCode::kInvalidArgument);
  EXPECT_THAT(refused.error().message, testing::HasSubstr(batch_id_text(batch.id)));
  clock_.set_seconds(3'000);
  FileRecord other = file;
  other.id = test_id(3);
  ASSERT_TRUE(commit(*store_, {InsertFile{other}}).ok());
  open();
  for (int i = 0; i < 1000 && load_file(other.id).ok(); ++i) ::usleep(1000);
  EXPECT_TRUE(load_file(file.id).ok());
  ASSERT_TRUE(cancel_batch(batch, 3'000'000).ok());
  ASSERT_TRUE(commit(*store_, {UpdateBatch{batch}, RemoveFile{file.id}}).ok());
}

TEST_F(SqliteBatchStoreTest, FindsLinesThatHaveNotEnded) {
  BatchRecord batch;
  batch.id = test_id(9);
  batch.model_id = sha256({});
  batch.numerics_version = 3;
  ASSERT_TRUE(commit(*store_, {InsertBatch{batch}}).ok());
  for (std::uint32_t i = 1; i <= 3; ++i) {
    JobRecord line = test_job(i);
    line.kind = i == 3 ? JobKind::kJob : JobKind::kBatchLine;
    if (i != 3) line.batch = batch.id;
    ASSERT_TRUE(commit(*store_, {InsertJob{line}}).ok());
  }
  ASSERT_TRUE(commit(*store_, {EndJob{test_id(1), {}}}).ok());
  const auto lines = wait_for<Result<std::vector<OpenLine>>>(
      [&](auto done) { store_->batches().load_open_lines(std::move(done)); });
  ASSERT_EQ(lines.value().size(), 1U);
  EXPECT_EQ(lines.value()[0].line, test_id(2));
  EXPECT_EQ(lines.value()[0].batch, batch.id);
  EXPECT_EQ(load_batch(batch.id).value().model_id, batch.model_id);
  EXPECT_EQ(load_batch(batch.id).value().numerics_version, 3U);
}

TEST_F(StateStoreTest, KeepsReplicasWithTheirProcesses) {
  open();
  const ReplicaRecord record{ReplicaId{3},
                             "replica-3",
                             "Yne@$w-vo<fVvi]a<NY6T1ed:M$fCG*[IaLV{hID",
                             7,
                             {{"host", 123, 456}}};
  ASSERT_TRUE(
      wait_for<Status>([&](auto done) { store_->replicas().put(record, std::move(done)); }).ok());
  open();
  const auto load_all = [&] {
    return wait_for<Result<std::vector<ReplicaRecord>>>(
               [&](auto done) { store_->replicas().load_all(std::move(done)); })
        .value();
  };
  ASSERT_EQ(load_all().size(), 1U);
  EXPECT_EQ(load_all()[0].name, record.name);
  EXPECT_EQ(load_all()[0].public_key, record.public_key);
  EXPECT_EQ(load_all()[0].epoch, 7U);
  ASSERT_EQ(load_all()[0].processes.size(), 1U);
  EXPECT_EQ(load_all()[0].processes[0].start_ticks, 456U);
  ASSERT_TRUE(wait_for<Status>([&](auto done) {
                store_->replicas().remove(ReplicaId{3}, std::move(done));
              }).ok());
  EXPECT_TRUE(load_all().empty());
}

}  // namespace
}  // namespace lockstep
