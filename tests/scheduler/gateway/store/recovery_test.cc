// What goes wrong on disk: crashes at every named point, a full disk, a sync that fails, damage,
// older and newer databases.
#include <fcntl.h>
#include <gmock/gmock.h>
#include <signal.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <set>

#include "base/crash_point.h"
#include "scheduler/gateway/store/schema.h"
#include "tests/scheduler/gateway/store/faulty_disk.h"
#include "tests/scheduler/gateway/store/store_support.h"

namespace lockstep {
namespace {

using testing::HasSubstr;

std::string version1_text() {
  return read_text(std::string(LOCKSTEP_SOURCE_DIR) +
                   "/tests/scheduler/gateway/store/schema_1.sql");
}

// A database as the first version left it: two jobs of which one has ended.
void make_version1(const std::string& directory) {
  ASSERT_TRUE(make_state_directory(directory).ok());
  Result<Database> database = Database::open(directory + "/gateway.sqlite", {});
  ASSERT_TRUE(database.ok()) << database.error().message;
  const Status status = database.value().execute(version1_text());
  ASSERT_TRUE(status.ok()) << status.error().message;
}

class StoreCrash : public StateStoreTest, public testing::WithParamInterface<std::string_view> {};

constexpr std::uint32_t kJobs = 40;
constexpr std::int64_t kLongAfter = 86'400 * 60;

// What a gateway does, until it is killed: accepts jobs, appends, ends every second one. Every
// acknowledged write is told through `acknowledged`, one byte each, in the order of its writes.
class Workload {
 public:
  Workload(StateOptions options, SetClock& clock, FaultyDisk& disk, int acknowledged)
      : options_(std::move(options)), clock_(clock), disk_(disk), acknowledged_(acknowledged) {}

  void run() {
    Result<std::unique_ptr<StateStore>> opened = StateStore::open(options_);
    if (!opened.ok()) ::_exit(3);
    StateStore& store = *opened.value();
    std::promise<Status> copied;
    store.backup_to(options_.directory + "/../copy.sqlite",
                    [&](Status status) { copied.set_value(std::move(status)); });
    for (std::uint32_t i = 0; i < kJobs; ++i) {
      // Large, so that the journal is copied back now and then.
      JobRecord job = test_job(i);
      job.request_json = std::string(std::size_t{512} << 10, 'x');
      tell(store, {InsertJob{job}});
      tell(store, {AppendTokens{{job.id, 0}, 0, test_tokens(0, 8)}});
      if (i % 2 == 1) tell(store, {EndJob{job.id, {JobState::kDone, 1'000'000, ""}}});
    }
    copied.get_future().wait();
    become_full(store);
    clock_.set_seconds(kLongAfter);  // Everything that has ended is removed.
    while (wait_for<Result<StoredJob>>([&](auto done) {
             store.jobs().load("", test_id(1), std::move(done));
           }).ok()) {
    }
  }

 private:
  void tell(StateStore& store, std::vector<StoreWrite> writes) {
    if (commit(store, std::move(writes)).ok() && ::write(acknowledged_, "", 1) != 1) ::_exit(4);
  }
  void become_full(StateStore& store) {
    disk_.be_full_while(options_.directory + "/reserve");
    (void)commit(store, {AppendTokens{{test_id(0), 0}, 8, test_tokens(8, 8)}});
    disk_.be_well();
    while (store.report().is_disk_full) ::usleep(1000);
  }

  StateOptions options_;
  SetClock& clock_;
  FaultyDisk& disk_;
  int acknowledged_;
};

// Nothing acknowledged is missing, nothing is there twice, and the store goes on.
void check_after_crash(StateStore& store, std::size_t num_acknowledged, bool with_removal) {
  std::size_t seen = 0;
  std::set<RequestId> waiting;
  for (const WaitingJob& job : load_waiting(store)) {
    EXPECT_TRUE(waiting.insert(job.id).second) << "twice";
  }
  for (std::uint32_t i = 0; i < kJobs; ++i) {
    const Result<StoredJob> stored = load(store, test_id(i));
    const auto is_acknowledged = [&] { return seen++ < num_acknowledged; };
    const bool inserted = is_acknowledged();
    const bool appended = is_acknowledged();
    const bool ended = i % 2 == 1 && is_acknowledged();
    if (!stored.ok()) {
      EXPECT_TRUE(!inserted || (with_removal && ended)) << i << stored.error().message;
      continue;
    }
    const std::vector<CompletionToken>& tokens = stored.value().choices[0].tokens;
    if (appended) {
      ASSERT_GE(tokens.size(), 8U) << i;
      EXPECT_EQ(tokens, test_tokens(0, static_cast<std::uint32_t>(tokens.size())));
    }
    if (ended) {
      EXPECT_EQ(stored.value().state, JobState::kDone) << i;
    }
    EXPECT_EQ(waiting.count(test_id(i)), stored.value().state == JobState::kAccepted ? 1U : 0U);
  }
  EXPECT_TRUE(commit(store, {InsertJob{test_job(1000)}}).ok());
}

TEST_P(StoreCrash, LosesNothingThatWasAcknowledged) {
  if (!kHasCrashPoints) GTEST_SKIP() << "no crash points in this build";
  FaultyDisk disk;
  StateOptions options = this->options();
  options.vfs = FaultyDisk::kName;
  if (GetParam() == "store.migration") make_version1(options.directory);
  int ends[2];
  ASSERT_EQ(::pipe(ends), 0);
  const pid_t child = ::fork();
  ASSERT_GE(child, 0);
  if (child == 0) {
    ::close(ends[0]);
    if (!arm_crash_point(GetParam()).ok()) ::_exit(2);
    Workload(options, clock_, disk, ends[1]).run();
    ::_exit(0);  // The point was never passed.
  }
  ::close(ends[1]);
  std::size_t num_acknowledged = 0;
  for (char byte = 0; ::read(ends[0], &byte, 1) == 1;) ++num_acknowledged;
  ::close(ends[0]);
  int status = 0;
  ASSERT_EQ(::waitpid(child, &status, 0), child);
  ASSERT_TRUE(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL)
      << GetParam() << " was not passed; status " << status;

  open(options);

  check_after_crash(*store_, num_acknowledged, GetParam() == "store.retention");
}

std::vector<std::string_view> store_points() {
  std::vector<std::string_view> points;
  std::ranges::copy_if(kCrashPoints, std::back_inserter(points),
                       [](std::string_view name) { return name.starts_with("store."); });
  return points;
}

std::string point_name(const testing::TestParamInfo<std::string_view>& point) {
  std::string name(point.param.substr(6));
  std::erase(name, '_');
  return name;
}

INSTANTIATE_TEST_SUITE_P(At, StoreCrash, testing::ValuesIn(store_points()), point_name);

class FullDisk : public StateStoreTest {
 protected:
  void SetUp() override {
    StateOptions options = this->options();
    options.vfs = FaultyDisk::kName;
    open(options);
    ASSERT_TRUE(commit(*store_, {InsertJob{test_job(1)}}).ok());
  }
  FaultyDisk disk_;
};

TEST_F(FullDisk, EndsWhatWasAcceptedFromTheReserveAndRefusesTheRest) {
  const std::string reserve = store_->directory().reserve_path();
  ASSERT_TRUE(std::filesystem::exists(reserve));
  disk_.be_full_while(reserve);
  const Status ended = commit(*store_, {EndJob{test_id(1), {JobState::kDone, 1'000'000, ""}}});
  EXPECT_TRUE(ended.ok()) << ended.error().message;
  EXPECT_GE(disk_.num_failures(), 1U);
  EXPECT_EQ(load(*store_, test_id(1)).value().state, JobState::kDone);
}

TEST_F(FullDisk, RefusesNewWorkUntilThereIsRoomAgain) {
  const std::string reserve = store_->directory().reserve_path();
  disk_.be_full_while(reserve);
  const Status refused = commit(*store_, {InsertJob{test_job(2)}});
  ASSERT_FALSE(refused.ok());
  EXPECT_EQ(refused.error().code, ErrorCode::kExhausted);
  EXPECT_THAT(refused.error().message, HasSubstr("full"));
  // What stands in its place keeps the reserve from being made again.
  ASSERT_TRUE(std::filesystem::create_directory(reserve));
  disk_.be_well();
  EXPECT_TRUE(commit(*store_, {AppendTokens{{test_id(1), 0}, 0, test_tokens(0, 4)}}).ok());
  EXPECT_FALSE(commit(*store_, {InsertJob{test_job(3)}}).ok());
  EXPECT_TRUE(store_->report().is_disk_full);

  std::filesystem::remove(reserve);
  while (store_->report().is_disk_full) ::usleep(1000);
  EXPECT_TRUE(commit(*store_, {InsertJob{test_job(4)}}).ok());
  EXPECT_EQ(std::filesystem::file_size(reserve), std::uintmax_t{64} << 10);
}

TEST_F(StateStoreTest, StopsAtOnceWhenASyncFails) {
  FaultyDisk disk;
  StateOptions options = this->options();
  options.vfs = FaultyDisk::kName;
  std::promise<Error> failure;
  options.on_failure = [&](const Error& error) { failure.set_value(error); };
  open(options);
  ASSERT_TRUE(commit(*store_, {InsertJob{test_job(1)}}).ok());

  disk.fail_syncs();
  const Status status = commit(*store_, {InsertJob{test_job(2)}});

  ASSERT_FALSE(status.ok());
  EXPECT_EQ(status.error().code, ErrorCode::kIo);
  EXPECT_EQ(exit_status(failure.get_future().get().code), 74);
  disk.be_well();
  EXPECT_FALSE(commit(*store_, {InsertJob{test_job(3)}}).ok()) << "went on after a failed sync";
  open();
  EXPECT_TRUE(load(*store_, test_id(1)).ok());
}

TEST_F(StateStoreTest, EndsTheProcessWith74WhenASyncFails) {
  EXPECT_EXIT(
      {
        FaultyDisk disk;
        StateOptions options = this->options();
        options.vfs = FaultyDisk::kName;
        open(options);
        disk.fail_syncs();
        (void)commit(*store_, {InsertJob{test_job(1)}});
      },
      testing::ExitedWithCode(74), "store_failed");
}

TEST_F(StateStoreTest, RefusesADamagedDatabaseAndNamesFileAndFix) {
  open();
  store_.reset();
  const std::string path = options().directory + "/gateway.sqlite";
  std::ofstream(path, std::ios::binary | std::ios::in) << "this is no database";
  const Result<std::unique_ptr<StateStore>> store = StateStore::open(options());
  ASSERT_FALSE(store.ok());
  EXPECT_EQ(store.error().code, ErrorCode::kCorrupt);
  EXPECT_THAT(store.error().message, HasSubstr(path));
  EXPECT_THAT(store.error().message, HasSubstr("state backup"));
}

TEST_F(StateStoreTest, RefusesADirectoryThatOthersMayEnter) {
  ASSERT_EQ(::mkdir(options().directory.c_str(), 0755), 0);
  ASSERT_EQ(::chmod(options().directory.c_str(), 0755), 0);
  const Result<std::unique_ptr<StateStore>> store = StateStore::open(options());
  ASSERT_FALSE(store.ok());
  EXPECT_EQ(store.error().code, ErrorCode::kPermission);
  EXPECT_THAT(store.error().message, HasSubstr("chmod 700"));
}

TEST_F(StateStoreTest, MigratesTheVersionBefore) {
  make_version1(options().directory);
  open();
  const Result<StoredJob> ended = load(*store_, test_id(1));
  ASSERT_TRUE(ended.ok()) << ended.error().message;
  EXPECT_EQ(ended.value().state, JobState::kDone);
  EXPECT_EQ(ended.value().choices[0].tokens, test_tokens(0, 2));
  const std::vector<WaitingJob> waiting = load_waiting(*store_);
  ASSERT_EQ(waiting.size(), 1U);
  EXPECT_EQ(waiting[0].id, test_id(2));
  EXPECT_EQ(load(*store_, test_id(2)).value().record.prompt,
            (std::vector<std::uint32_t>{1, 2, 3, 2}));
  EXPECT_EQ(store_->epoch(), 42U);
  BatchRecord batch;
  batch.id = test_id(9);
  EXPECT_TRUE(commit(*store_, {InsertBatch{batch}}).ok());
}

TEST_F(StateStoreTest, RefusesANewerVersion) {
  open();
  store_.reset();
  Result<Database> database = Database::open(options().directory + "/gateway.sqlite", {});
  ASSERT_TRUE(database.ok());
  ASSERT_TRUE(
      database.value().execute("PRAGMA user_version=" + std::to_string(kSchemaVersion + 1)).ok());
  database = Error{ErrorCode::kAborted, "closed"};
  const Result<std::unique_ptr<StateStore>> store = StateStore::open(options());
  ASSERT_FALSE(store.ok());
  EXPECT_EQ(store.error().code, ErrorCode::kInvalidArgument);
  EXPECT_THAT(store.error().message,
              HasSubstr("schema version " + std::to_string(kSchemaVersion + 1)));
}

TEST_F(StateStoreTest, BacksUpWhileItIsInUse) {
  open();
  for (std::uint32_t i = 0; i < 20; ++i) {
    ASSERT_TRUE(commit(*store_, {InsertJob{test_job(i)}}).ok());
  }
  const std::string copy = scratch_.file("copy.sqlite");
  std::promise<Status> done;
  store_->backup_to(copy, [&](Status status) { done.set_value(std::move(status)); });
  const Status status = done.get_future().get();
  ASSERT_TRUE(status.ok()) << status.error().message;
  EXPECT_FALSE(std::filesystem::exists(copy + ".partial"));
  const Status again =
      wait_for<Status>([&](auto called) { store_->backup_to(copy, std::move(called)); });
  ASSERT_FALSE(again.ok());
  EXPECT_EQ(again.error().code, ErrorCode::kInvalidArgument);

  // Put in the place of the database it is one.
  store_.reset();
  const std::string path = options().directory + "/gateway.sqlite";
  std::filesystem::remove(path);
  std::filesystem::copy(copy, path);
  open();
  EXPECT_EQ(load_waiting(*store_).size(), 20U);
}

}  // namespace
}  // namespace lockstep
