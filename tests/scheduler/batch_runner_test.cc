#include "scheduler/batch_runner.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <random>

namespace lockstep {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;
using testing::SizeIs;

constexpr std::int64_t kDeadlineMs = 50'000;

RequestId id_of(std::uint8_t n) {
  RequestId id;
  id.bytes[15] = n;
  return id;
}

class CountingRandom final : public Random {
 public:
  void fill(std::span<std::uint8_t> out) override {
    for (std::uint8_t& byte : out) byte = static_cast<std::uint8_t>(++count_ * 37);
  }

 private:
  std::uint32_t count_ = 0;
};

BatchRecord batch_of(std::uint8_t n) {
  BatchRecord batch;
  batch.id = id_of(n);
  batch.tenant = "t";
  batch.input_file = id_of(200);
  batch.created_ms = 1'000;
  batch.expires_ms = kDeadlineMs;
  batch.model_id = sha256({});
  batch.numerics_version = 1;
  return batch;
}

LineJob line_of(const std::string& custom_id) {
  LineJob line;
  line.record.custom_id = custom_id;
  line.record.kind = JobKind::kBatchLine;
  line.record.model_id = sha256({});
  line.record.numerics_version = 1;
  line.record.prompt = {1};
  return line;
}

// What a store would hold, and who carries the effects out.
class BatchRunnerTest : public testing::Test {
 protected:
  BatchRunnerTest() { start(); }

  static BatchRunnerConfig config() {
    BatchRunnerConfig config;
    config.window_lines = 4;
    config.tenant_lines = 6;
    config.max_tenant_open = 3;
    return config;
  }
  Now now() const { return {.mono_ms = now_ms_, .unix_ms = now_ms_}; }
  void start() { runner_ = std::make_unique<BatchRunner>(config(), ids_); }

  std::vector<BatchEffect> effects() { return runner_->take_effects(); }
  // The only effect there is, of this kind.
  template <typename T>
  T only() {
    std::vector<BatchEffect> all = effects();
    EXPECT_EQ(all.size(), 1U);
    if (all.size() != 1 || !std::holds_alternative<T>(all[0])) {
      ADD_FAILURE() << "effect " << (all.empty() ? 99 : all[0].index());
      return {};
    }
    return std::get<T>(std::move(all[0]));
  }

  // A batch of so many lines, up to the point where it asks for the first of them.
  ReadLines begin(std::uint8_t n, std::uint32_t num_lines) {
    runner_->created(now(), batch_of(n));
    only<ValidateBatch>();
    runner_->validated(now(), id_of(n), BatchValidator::Verdict{num_lines, {}});
    only<StoreBatch>();
    runner_->stored(now(), id_of(n), {});
    return only<ReadLines>();
  }
  // Answers a ReadLines with good lines.
  FeedLines feed(const ReadLines& read) {
    LinesRead lines;
    const std::uint32_t first = read.batch.fed_lines;
    const std::uint32_t last = std::min(first + read.max_lines, read.batch.counts.total);
    for (std::uint32_t i = first; i < last; ++i) lines.lines.push_back(line_of(std::to_string(i)));
    lines.end_bytes = last * 10;
    runner_->lines_read(now(), read.batch.id, std::move(lines));
    return only<FeedLines>();
  }

  std::int64_t now_ms_ = 10'000;
  CountingRandom random_;
  RequestIdSource ids_{random_};
  std::unique_ptr<BatchRunner> runner_;
};

class BatchRunnerFeed : public BatchRunnerTest {};
class BatchRunnerCancel : public BatchRunnerTest {};
class BatchRunnerExpire : public BatchRunnerTest {};
class BatchRunnerRecover : public BatchRunnerTest {};
class BatchRunnerFinish : public BatchRunnerTest {};

std::vector<std::string> names(const FeedLines& fed) {
  std::vector<std::string> all;
  for (const JobRecord& line : fed.lines) all.push_back(line.custom_id);
  return all;
}

template <typename T>
std::vector<T> writes_of(const std::vector<StoreWrite>& writes) {
  std::vector<T> all;
  for (const StoreWrite& write : writes) {
    if (const auto* one = std::get_if<T>(&write)) all.push_back(*one);
  }
  return all;
}

TEST_F(BatchRunnerFeed, FillsAWindowAndGoesOnWhenHalfOfItHasEnded) {
  const FeedLines first = feed(begin(1, 9));
  EXPECT_THAT(names(first), ElementsAre("0", "1", "2", "3"));
  runner_->stored(now(), id_of(1), {});
  EXPECT_THAT(effects(), IsEmpty());
  runner_->line_ended(now(), first.lines[2].id, JobState::kDone);
  EXPECT_THAT(effects(), IsEmpty());
  runner_->line_ended(now(), first.lines[0].id, JobState::kFailed);
  const ReadLines more = only<ReadLines>();
  EXPECT_EQ(more.max_lines, 2U);
  EXPECT_EQ(more.batch.fed_lines, 4U);
  EXPECT_EQ(more.batch.fed_bytes, 40U);
  EXPECT_EQ(runner_->find(id_of(1))->counts, (BatchCounts{9, 1, 1}));
}

TEST_F(BatchRunnerFeed, CommitsLinesTogetherWithThePlaceBehindThem) {
  const FeedLines fed = feed(begin(1, 3));
  const auto updates = writes_of<UpdateBatch>(fed.with);
  ASSERT_THAT(updates, SizeIs(1));
  EXPECT_EQ(updates[0].batch.fed_lines, 3U);
  EXPECT_EQ(updates[0].batch.fed_bytes, 30U);
  EXPECT_EQ(fed.lines[0].batch, id_of(1));
  EXPECT_EQ(fed.lines[0].tenant, "t");
  EXPECT_EQ(fed.lines[0].expires_ms, kDeadlineMs);
  EXPECT_LT(fed.lines[0].id, fed.lines[1].id);
}

TEST_F(BatchRunnerFeed, ReadsTheSameLinesAgainWhenTheCommitFails) {
  const FeedLines fed = feed(begin(1, 3));
  runner_->stored(now(), id_of(1), Error{ErrorCode::kExhausted, "disk full"});
  EXPECT_THAT(effects(), IsEmpty());
  runner_->line_ended(now(), fed.lines[0].id, JobState::kDone);  // Nobody's.
  now_ms_ += 1'000;
  runner_->tick(now());
  const ReadLines again = only<ReadLines>();
  EXPECT_EQ(again.batch.fed_lines, 0U);
  EXPECT_EQ(again.batch.counts, (BatchCounts{3, 0, 0}));
}

TEST_F(BatchRunnerFeed, EndsAtOnceWhatTheModelCannotTake) {
  const ReadLines read = begin(1, 2);
  LinesRead lines;
  lines.lines = {line_of("a"), line_of("b")};
  lines.lines[0].status = Error{ErrorCode::kInvalidArgument, "too long"};
  runner_->lines_read(now(), read.batch.id, lines);
  const FeedLines fed = only<FeedLines>();
  EXPECT_THAT(names(fed), ElementsAre("b"));
  const auto inserted = writes_of<InsertJob>(fed.with);
  const auto ended = writes_of<EndJob>(fed.with);
  ASSERT_THAT(inserted, SizeIs(1));
  ASSERT_THAT(ended, SizeIs(1));
  EXPECT_EQ(inserted[0].job.custom_id, "a");
  EXPECT_EQ(ended[0].id, inserted[0].job.id);
  EXPECT_EQ(ended[0].outcome.state, JobState::kFailed);
  EXPECT_EQ(ended[0].outcome.error, "too long");
  runner_->stored(now(), id_of(1), {});
  EXPECT_EQ(runner_->find(id_of(1))->counts, (BatchCounts{2, 0, 1}));
}

TEST_F(BatchRunnerFeed, FailsLinesOfAnotherModel) {
  const ReadLines read = begin(1, 1);
  LinesRead lines;
  lines.lines = {line_of("a")};
  lines.lines[0].record.model_id = Digest{};
  runner_->lines_read(now(), read.batch.id, lines);
  const FeedLines fed = only<FeedLines>();
  EXPECT_THAT(fed.lines, IsEmpty());
  EXPECT_THAT(writes_of<EndJob>(fed.with)[0].outcome.error, testing::HasSubstr("no longer served"));
  EXPECT_EQ(writes_of<InsertJob>(fed.with)[0].job.model_id, sha256({}));
}

TEST_F(BatchRunnerFeed, SharesTheLinesOfATenant) {
  feed(begin(1, 4));
  runner_->stored(now(), id_of(1), {});
  EXPECT_EQ(begin(2, 9).max_lines, 2U);
  EXPECT_TRUE(runner_->admit("t").ok());
  runner_->created(now(), batch_of(3));
  EXPECT_EQ(runner_->admit("t").error().code, ErrorCode::kExhausted);
  EXPECT_TRUE(runner_->admit("u").ok());
}

TEST_F(BatchRunnerFeed, FailsTheBatchOfABadFile) {
  runner_->created(now(), batch_of(1));
  only<ValidateBatch>();
  runner_->validated(now(), id_of(1), BatchValidator::Verdict{3, {{"twice", "it is", "", 3}}});
  const auto updates = writes_of<UpdateBatch>(only<StoreBatch>().writes);
  EXPECT_EQ(updates.at(0).batch.state, BatchState::kFailed);
  EXPECT_EQ(updates.at(0).batch.errors.at(0).line, 3U);
  runner_->stored(now(), id_of(1), {});
  EXPECT_EQ(runner_->num_open(), 0U);
}

TEST_F(BatchRunnerFinish, PublishesFilesAndStateInOneCommit) {
  const FeedLines fed = feed(begin(1, 2));
  runner_->stored(now(), id_of(1), {});
  for (const JobRecord& line : fed.lines) runner_->line_ended(now(), line.id, JobState::kDone);
  EXPECT_EQ(writes_of<UpdateBatch>(only<StoreBatch>().writes).at(0).batch.state,
            BatchState::kFinalizing);
  runner_->stored(now(), id_of(1), {});
  const BatchRecord writing = only<WriteOutput>().batch;
  runner_->written(now(), id_of(1), WrittenFiles{100, 0});
  const StoreBatch last = only<StoreBatch>();
  const auto files = writes_of<InsertFile>(last.writes);
  ASSERT_THAT(files, SizeIs(1));
  EXPECT_EQ(files[0].file.id, writing.output_file);
  EXPECT_EQ(files[0].file.bytes, 100U);
  const BatchRecord ended = writes_of<UpdateBatch>(last.writes).at(0).batch;
  EXPECT_EQ(ended.state, BatchState::kCompleted);
  EXPECT_EQ(ended.output_file, writing.output_file);
  EXPECT_TRUE(ended.error_file.is_zero());
  runner_->stored(now(), id_of(1), {});
  EXPECT_EQ(runner_->num_open(), 0U);
}

TEST_F(BatchRunnerFinish, WritesAgainWhenTheDiskWasFull) {
  const FeedLines fed = feed(begin(1, 1));
  runner_->stored(now(), id_of(1), {});
  runner_->line_ended(now(), fed.lines[0].id, JobState::kDone);
  only<StoreBatch>();
  runner_->stored(now(), id_of(1), {});
  const RequestId chosen = only<WriteOutput>().batch.output_file;
  runner_->written(now(), id_of(1), Error{ErrorCode::kExhausted, "disk full"});
  runner_->tick(now());
  EXPECT_THAT(effects(), IsEmpty());
  now_ms_ += 1'000;
  runner_->tick(now());
  EXPECT_EQ(only<WriteOutput>().batch.output_file, chosen);
}

TEST_F(BatchRunnerCancel, EndsLinesThatRunAndKeepsThoseThatEnded) {
  const FeedLines fed = feed(begin(1, 9));
  runner_->stored(now(), id_of(1), {});
  runner_->line_ended(now(), fed.lines[0].id, JobState::kDone);
  ASSERT_TRUE(runner_->cancel(now(), id_of(1)));
  EXPECT_EQ(writes_of<UpdateBatch>(only<StoreBatch>().writes).at(0).batch.state,
            BatchState::kCancelling);
  runner_->stored(now(), id_of(1), {});
  std::vector<BatchEffect> all = effects();
  ASSERT_THAT(all, SizeIs(2));
  EXPECT_THAT(std::get<CancelLines>(all[0]).lines,
              testing::UnorderedElementsAre(fed.lines[1].id, fed.lines[2].id, fed.lines[3].id));
  EXPECT_TRUE(std::get<AnswerCancel>(all[1]).status.ok());
  for (int i = 1; i < 4; ++i) runner_->line_ended(now(), fed.lines[i].id, JobState::kCancelled);
  only<StoreBatch>();
  runner_->stored(now(), id_of(1), {});
  EXPECT_EQ(only<WriteOutput>().batch.counts, (BatchCounts{9, 1, 3}));
  runner_->written(now(), id_of(1), WrittenFiles{1, 1});
  EXPECT_EQ(writes_of<UpdateBatch>(only<StoreBatch>().writes).at(0).batch.state,
            BatchState::kCancelled);
}

TEST_F(BatchRunnerCancel, EndsAtOnceWhatIsStillValidated) {
  runner_->created(now(), batch_of(1));
  only<ValidateBatch>();
  runner_->cancel(now(), id_of(1));
  only<StoreBatch>();
  runner_->validated(now(), id_of(1), BatchValidator::Verdict{3, {}});  // Too late.
  runner_->stored(now(), id_of(1), {});
  EXPECT_EQ(only<AnswerCancel>().batch.state, BatchState::kCancelled);
  EXPECT_FALSE(runner_->cancel(now(), id_of(1)));
}

TEST_F(BatchRunnerCancel, WaitsForTheCommitInFlight) {
  const FeedLines fed = feed(begin(1, 2));
  runner_->cancel(now(), id_of(1));
  EXPECT_THAT(effects(), IsEmpty());
  runner_->stored(now(), id_of(1), {});
  const BatchRecord next = writes_of<UpdateBatch>(only<StoreBatch>().writes).at(0).batch;
  EXPECT_EQ(next.state, BatchState::kCancelling);
  EXPECT_EQ(next.fed_lines, 2U);
}

TEST_F(BatchRunnerCancel, CountsLinesThatEndWhileItIsOnItsWayToTheDisk) {
  const FeedLines fed = feed(begin(1, 9));
  runner_->stored(now(), id_of(1), {});
  runner_->cancel(now(), id_of(1));
  only<StoreBatch>();
  runner_->line_ended(now(), fed.lines[0].id, JobState::kDone);
  runner_->line_ended(now(), fed.lines[1].id, JobState::kFailed);
  runner_->stored(now(), id_of(1), {});
  EXPECT_THAT(std::get<CancelLines>(effects().at(0)).lines, SizeIs(2));
  EXPECT_EQ(runner_->find(id_of(1))->counts, (BatchCounts{9, 1, 1}));
}

TEST_F(BatchRunnerCancel, DropsLinesThatWereBeingRead) {
  const ReadLines read = begin(1, 2);
  runner_->cancel(now(), id_of(1));
  only<StoreBatch>();
  runner_->stored(now(), id_of(1), {});
  effects();
  LinesRead lines;
  lines.lines = {line_of("a")};
  runner_->lines_read(now(), read.batch.id, lines);
  for (const BatchEffect& effect : effects()) {
    EXPECT_FALSE(std::holds_alternative<FeedLines>(effect));
  }
}

TEST_F(BatchRunnerExpire, FeedsNoMoreAndKeepsWhatEnded) {
  const FeedLines fed = feed(begin(1, 9));
  runner_->stored(now(), id_of(1), {});
  runner_->line_ended(now(), fed.lines[0].id, JobState::kDone);
  now_ms_ = kDeadlineMs;
  runner_->tick(now());
  EXPECT_TRUE(writes_of<UpdateBatch>(only<StoreBatch>().writes).at(0).batch.is_expired);
  runner_->stored(now(), id_of(1), {});
  EXPECT_THAT(effects(), IsEmpty());  // The lines have the same deadline.
  for (int i = 1; i < 4; ++i) runner_->line_ended(now(), fed.lines[i].id, JobState::kExpired);
  only<StoreBatch>();
  runner_->stored(now(), id_of(1), {});
  only<WriteOutput>();
  runner_->written(now(), id_of(1), WrittenFiles{1, 1});
  EXPECT_EQ(writes_of<UpdateBatch>(only<StoreBatch>().writes).at(0).batch.state,
            BatchState::kExpired);
}

TEST_F(BatchRunnerRecover, GoesOnBehindWhatWasFed) {
  BatchRecord batch = batch_of(1);
  ASSERT_TRUE(begin_batch(batch, 9, 1'000).ok());
  batch.fed_lines = 4;
  batch.fed_bytes = 40;
  batch.counts.completed = 2;
  runner_->recover(now(), {batch}, {{id_of(50), id_of(1)}, {id_of(51), id_of(1)}});
  const ReadLines read = only<ReadLines>();
  EXPECT_EQ(read.batch.fed_bytes, 40U);
  EXPECT_EQ(read.max_lines, 2U);
  runner_->line_ended(now(), id_of(50), JobState::kDone);
  EXPECT_EQ(runner_->find(id_of(1))->counts.completed, 3U);
}

TEST_F(BatchRunnerRecover, CancelsLinesWhoseCancellationWasCutShort) {
  BatchRecord batch = batch_of(1);
  ASSERT_TRUE(begin_batch(batch, 9, 1'000).ok());
  batch.fed_lines = 1;
  ASSERT_TRUE(cancel_batch(batch, 2'000).ok());
  runner_->recover(now(), {batch}, {{id_of(50), id_of(1)}});
  EXPECT_THAT(only<CancelLines>().lines, ElementsAre(id_of(50)));
}

// A disk, a queue that ends lines at random, restarts and failed commits anywhere: every line is
// fed once, every batch ends.
class BatchRunnerWorld : public BatchRunnerTest {
 protected:
  static constexpr std::uint32_t kLines = 40;

  std::uint64_t draw(std::uint64_t bound) { return engine_() % bound; }

  void apply(const StoreWrite& write) {
    if (const auto* job = std::get_if<InsertJob>(&write)) {
      EXPECT_TRUE(rows_.emplace(job->job.custom_id, job->job.id).second) << job->job.custom_id;
      open_.push_back(job->job.id);
    } else if (const auto* end = std::get_if<EndJob>(&write)) {
      end_line(end->id);
    } else if (const auto* update = std::get_if<UpdateBatch>(&write)) {
      const BatchCounts counts = disk_.counts;
      disk_ = update->batch;
      disk_.counts.completed = counts.completed;
      disk_.counts.failed = counts.failed;
    }
  }
  void end_line(RequestId line) {
    std::erase(open_, line);
    ++disk_.counts.completed;
  }
  // A commit takes effect, or not; its answer comes unless the process dies first.
  void commit(RequestId batch, const std::vector<StoreWrite>& writes) {
    const bool is_lost = draw(8) == 0;
    if (!is_lost) std::ranges::for_each(writes, [this](const auto& write) { apply(write); });
    if (draw(10) == 0) return restart();
    const Status full = Error{ErrorCode::kExhausted, "disk full"};
    runner_->stored(now(), batch, is_lost ? full : Status());
  }
  void restart() {
    start();
    ++lives_;
    std::vector<OpenLine> open;
    for (const RequestId& line : open_) open.push_back({line, disk_.id});
    if (!is_terminal(disk_.state)) runner_->recover(now(), {disk_}, open);
  }
  void carry_out(const BatchEffect& effect) {
    const RequestId id = disk_.id;
    if (std::holds_alternative<ValidateBatch>(effect)) {
      runner_->validated(now(), id, BatchValidator::Verdict{kLines, {}});
    } else if (const auto* read = std::get_if<ReadLines>(&effect)) {
      LinesRead lines;
      const std::uint32_t last = std::min<std::uint32_t>(
          read->batch.fed_lines + 1 + static_cast<std::uint32_t>(draw(4)), kLines);
      for (std::uint32_t i = read->batch.fed_lines; i < last; ++i) {
        lines.lines.push_back(line_of(std::to_string(i)));
      }
      runner_->lines_read(now(), id, lines);
    } else if (const auto* fed = std::get_if<FeedLines>(&effect)) {
      std::vector<StoreWrite> writes;
      for (const JobRecord& line : fed->lines) writes.emplace_back(InsertJob{line});
      writes.insert(writes.end(), fed->with.begin(), fed->with.end());
      commit(id, writes);
    } else if (const auto* store = std::get_if<StoreBatch>(&effect)) {
      commit(id, store->writes);
    } else if (std::holds_alternative<WriteOutput>(effect)) {
      runner_->written(now(), id, WrittenFiles{1, 0});
    }
  }
  void run(std::uint64_t seed) {
    engine_.seed(seed);
    disk_ = batch_of(1);
    disk_.expires_ms = 0;
    rows_.clear();
    restart();
    for (int step = 0; step < 100'000 && !is_terminal(disk_.state); ++step) {
      now_ms_ += 100;
      if (!open_.empty() && draw(2) == 0) {
        const RequestId line = open_[draw(open_.size())];
        end_line(line);
        runner_->line_ended(now(), line, JobState::kDone);
      }
      runner_->tick(now());
      const int life = lives_;
      for (const BatchEffect& effect : effects()) {
        if (lives_ == life) carry_out(effect);
      }
    }
    EXPECT_EQ(disk_.state, BatchState::kCompleted) << "seed " << seed;
    EXPECT_EQ(disk_.counts, (BatchCounts{kLines, kLines, 0})) << "seed " << seed;
    EXPECT_THAT(rows_, SizeIs(kLines)) << "seed " << seed;
  }

  std::mt19937_64 engine_;
  BatchRecord disk_;
  std::map<std::string, RequestId> rows_;
  std::vector<RequestId> open_;
  int lives_ = 0;
};

TEST_F(BatchRunnerWorld, FeedsEveryLineOnceWhateverDies) {
  for (std::uint64_t seed = 1; seed <= 200; ++seed) run(seed);
}

}  // namespace
}  // namespace lockstep
