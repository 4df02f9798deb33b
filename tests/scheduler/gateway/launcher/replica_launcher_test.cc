// Real processes, and shell scripts in the place of mpirun and of the worker: real ones are in
// tests/serving.
#include "scheduler/gateway/launcher/replica_launcher.h"

#include <gtest/gtest.h>
#include <signal.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <condition_variable>
#include <filesystem>
#include <fstream>
#include <sstream>

#include "scheduler/gateway/launcher/child_process.h"
#include "tests/support/scratch_directory.h"

namespace lockstep {
namespace {

using namespace std::chrono_literals;

constexpr ReplicaId kA{1};
constexpr ReplicaId kB{2};

class ReplicaLauncherTest : public ::testing::Test {
 protected:
  void SetUp() override { start(); }
  void TearDown() override {
    if (launcher_ == nullptr) return;
    launcher_->kill_all();
    EXPECT_TRUE(launcher_->wait_for_killed(5000));
  }

  void start() {
    auto started = ReplicaLauncher::start(scratch_.path(),
                                          [this](ReplicaId replica, const std::string& reason) {
                                            const std::scoped_lock lock(mutex_);
                                            deaths_.emplace_back(replica, reason);
                                            died_.notify_all();
                                          });
    ASSERT_TRUE(started.ok()) << started.error().message;
    launcher_ = std::move(started).value();
  }

  // A program that is given the worker's arguments and runs `body`, a shell script.
  std::string script(const std::string& body) {
    const std::string path = scratch_.file("script" + std::to_string(scripts_++));
    std::ofstream(path) << "#!/bin/sh\n" << body << "\n";
    ::chmod(path.c_str(), 0755);
    return path;
  }
  ReplicaCommand threads(const std::string& body) {
    ReplicaCommand command;
    command.program = script(body);
    command.model = "model";
    command.gateway = "tcp://127.0.0.1:1";
    command.by_mpi = false;
    return command;
  }
  // A launcher with `ranks` sleeping children, whose pids it writes to the file `pids`.
  ReplicaCommand with_ranks(int ranks) {
    ReplicaCommand command = threads("exit 1");
    command.by_mpi = true;
    command.ranks = ranks;
    command.mpirun =
        script("for i in $(seq " + std::to_string(ranks) + "); do sleep 600 & echo $! >> " +
               scratch_.file("part") + "; done; mv " + scratch_.file("part") + " " +
               scratch_.file("pids") + "; wait");
    return command;
  }
  std::vector<RankProcess> ranks_of() {
    const auto until = std::chrono::steady_clock::now() + 5s;
    while (!std::filesystem::exists(scratch_.file("pids")) &&
           std::chrono::steady_clock::now() < until) {
      std::this_thread::sleep_for(1ms);
    }
    std::istringstream text(read_text(scratch_.file("pids")));
    std::filesystem::remove(scratch_.file("pids"));
    std::vector<RankProcess> ranks;
    std::int64_t pid = 0;
    while (text >> pid) ranks.push_back({host_name(), pid, start_ticks_of(pid).value()});
    return ranks;
  }

  std::optional<std::pair<ReplicaId, std::string>> death(std::chrono::milliseconds patience = 5s) {
    std::unique_lock lock(mutex_);
    if (!died_.wait_for(lock, patience, [this] { return !deaths_.empty(); })) return std::nullopt;
    auto first = deaths_.front();
    deaths_.erase(deaths_.begin());
    return first;
  }

  // Folders of replicas below the runtime directory.
  std::size_t folders() const {
    std::size_t count = 0;
    for (const auto& entry : std::filesystem::directory_iterator(scratch_.path())) {
      count += entry.is_directory() ? 1 : 0;
    }
    return count;
  }

  // Of the only folder.
  std::string owner_file() const {
    for (const auto& entry : std::filesystem::directory_iterator(scratch_.path())) {
      if (entry.is_directory()) return entry.path() / "owner";
    }
    return {};
  }

  static bool lives(std::int64_t pid) {
    const auto handle = ProcessHandle::open(pid, 0);
    return handle.ok() && !handle.value().ended();
  }

  static ReplicaKeys keys() {
    ReplicaKeys keys;
    keys.own = make_curve_key_pair(system_random());
    keys.gateway = make_curve_key_pair(system_random()).public_key;
    return keys;
  }

  const ScratchDirectory scratch_;
  std::mutex mutex_;
  std::condition_variable died_;
  std::vector<std::pair<ReplicaId, std::string>> deaths_;
  int scripts_ = 0;
  std::unique_ptr<ReplicaLauncher> launcher_;
};

TEST(LaunchArguments, NameNoSecret) {
  ReplicaCommand command;
  command.program = "lockstep";
  command.model = "store";
  command.gateway = "tcp://127.0.0.1:7";
  command.options = {"--max-sequences", "8"};
  command.ranks = 2;
  std::string line;
  for (const std::string& word : launch_arguments(command, "folder")) line += word + " ";
  EXPECT_EQ(line,
            "mpirun -n 2 --oversubscribe --bind-to none --mca btl self,vader "
            "--mca btl_vader_backing_directory folder --mca osc_sm_backing_store_directory folder "
            "--mca orte_tmpdir_base folder lockstep worker --model store "
            "--gateway tcp://127.0.0.1:7 --key-file folder/key --patience 10 --max-sequences 8 ");
  command.by_mpi = false;
  line.clear();
  for (const std::string& word : launch_arguments(command, "folder")) line += word + " ";
  EXPECT_EQ(line,
            "lockstep worker --model store --gateway tcp://127.0.0.1:7 --key-file folder/key "
            "--patience 10 --ranks 2 --max-sequences 8 ");
}

TEST_F(ReplicaLauncherTest, GivesAReplicaItsKeysAndNoDescriptor) {
  const ReplicaKeys given = keys();
  ReplicaCommand command =
      threads("echo \"$@\" > " + scratch_.file("arguments") + "; ls -l /proc/self/fd > " +
              scratch_.file("descriptors") + "; cp \"$7\" " + scratch_.file("copy") + "; exit 7");
  ASSERT_TRUE(launcher_->launch(kA, command, given).ok());
  const auto died = death();
  ASSERT_TRUE(died);
  EXPECT_EQ(died->first, kA);
  EXPECT_NE(died->second.find("exited with status 7"), std::string::npos) << died->second;
  EXPECT_TRUE(read_text(scratch_.file("arguments")).starts_with("worker --model model"));
  const auto read = read_replica_keys(scratch_.file("copy"));
  ASSERT_TRUE(read.ok()) << read.error().message;
  EXPECT_EQ(read.value().own.public_key, given.own.public_key);
  // 0, 1, 2, and what `ls` opens itself, under a line that says "total".
  const std::string listed = read_text(scratch_.file("descriptors"));
  EXPECT_EQ(std::ranges::count(listed, '\n'), 1 + 3 + 1) << listed;

  launcher_->kill(kA);
  EXPECT_TRUE(launcher_->wait_for_killed(5000));
  EXPECT_EQ(folders(), 0U);
  EXPECT_FALSE(death(20ms));
}

TEST_F(ReplicaLauncherTest, SaysThatAProgramIsMissing) {
  ReplicaCommand command = threads("");
  command.program = scratch_.file("nowhere");
  const Status launched = launcher_->launch(kA, command, keys());
  ASSERT_FALSE(launched.ok());
  EXPECT_EQ(launched.error().code, ErrorCode::kNotFound);
  EXPECT_EQ(folders(), 0U);
}

TEST_F(ReplicaLauncherTest, SeesTheDeathOfARankAtOnceAndKillsTheRest) {
  ASSERT_TRUE(launcher_->launch(kA, with_ranks(3), keys()).ok());
  const auto ranks = ranks_of();
  ASSERT_EQ(ranks.size(), 3U);
  const Status watched = launcher_->watch(kA, ranks);
  ASSERT_TRUE(watched.ok()) << watched.error().message;

  const auto began = std::chrono::steady_clock::now();
  ::kill(static_cast<pid_t>(ranks[1].pid), SIGKILL);
  const auto died = death();
  const auto took = std::chrono::steady_clock::now() - began;

  ASSERT_TRUE(died);
  EXPECT_NE(died->second.find(std::to_string(ranks[1].pid)), std::string::npos);
  EXPECT_LT(took, 1s);  // Promised: 0.25 s; asserted at four times that.
  EXPECT_TRUE(lives(ranks[0].pid));
  launcher_->kill(kA);
  EXPECT_TRUE(launcher_->wait_for_killed(5000));
  for (const RankProcess& rank : ranks) EXPECT_FALSE(lives(rank.pid));
  EXPECT_EQ(folders(), 0U);
}

TEST_F(ReplicaLauncherTest, WatchesNoProcessOfOthers) {
  ASSERT_TRUE(launcher_->launch(kA, with_ranks(1), keys()).ok());
  const auto own = ranks_of();
  ASSERT_TRUE(launcher_->launch(kB, with_ranks(1), keys()).ok());
  const auto other = ranks_of();
  EXPECT_EQ(launcher_->watch(kB, {own[0]}).error().code, ErrorCode::kPermission);
  EXPECT_EQ(launcher_->watch(kB, {this_process()}).error().code, ErrorCode::kPermission);
  EXPECT_EQ(launcher_->watch(ReplicaId{9}, other).error().code, ErrorCode::kNotFound);
  RankProcess later = other[0];
  ++later.start_ticks;
  EXPECT_EQ(launcher_->watch(kB, {later}).error().code, ErrorCode::kNotFound);
  // Elsewhere it cannot be watched, which is no fault.
  EXPECT_TRUE(launcher_->watch(kB, {{"another-host", 1, 1}}).ok());

  launcher_->kill(kB);
  EXPECT_TRUE(launcher_->wait_for_killed(5000));
  EXPECT_TRUE(lives(own[0].pid));
}

TEST_F(ReplicaLauncherTest, LaunchingAgainKillsTheOldOneFirst) {
  ASSERT_TRUE(launcher_->launch(kA, with_ranks(1), keys()).ok());
  const auto old = ranks_of();
  ASSERT_TRUE(launcher_->watch(kA, old).ok());
  ASSERT_TRUE(launcher_->launch(kA, with_ranks(1), keys()).ok());
  const auto young = ranks_of();
  EXPECT_TRUE(launcher_->wait_for_killed(5000));
  EXPECT_FALSE(lives(old[0].pid));
  EXPECT_TRUE(launcher_->watch(kA, young).ok());
  EXPECT_FALSE(death(20ms));
  ::kill(static_cast<pid_t>(young[0].pid), SIGKILL);
  EXPECT_TRUE(death());
}

TEST_F(ReplicaLauncherTest, LetsReplicasOutliveItAndALaterOneAdoptsThem) {
  ASSERT_TRUE(launcher_->launch(kA, with_ranks(2), keys()).ok());
  const auto ranks = ranks_of();
  launcher_.reset();
  EXPECT_TRUE(lives(ranks[0].pid));
  EXPECT_EQ(folders(), 1U);

  start();
  EXPECT_EQ(folders(), 1U);  // In use.
  const Status adopted = launcher_->adopt(kA, ranks);
  ASSERT_TRUE(adopted.ok()) << adopted.error().message;
  const Status watched = launcher_->watch(kA, ranks);  // It says Hello, of the same processes.
  ASSERT_TRUE(watched.ok()) << watched.error().message;
  EXPECT_EQ(launcher_->watch(kA, {this_process()}).error().code, ErrorCode::kPermission);
  ::kill(static_cast<pid_t>(ranks[1].pid), SIGKILL);
  ASSERT_TRUE(death());
  launcher_->kill(kA);
  EXPECT_TRUE(launcher_->wait_for_killed(5000));
  EXPECT_FALSE(lives(ranks[0].pid));
  EXPECT_EQ(launcher_->adopt(kA, ranks).error().code, ErrorCode::kNotFound);
  // The stand-in for mpirun waits for its children, so it has ended by itself: it is ours to reap.
  const pid_t parent = static_cast<pid_t>(stoi(read_text(owner_file())));
  (void)reap_child(parent);
  launcher_.reset();
  start();
  EXPECT_EQ(folders(), 0U);
}

}  // namespace
}  // namespace lockstep
