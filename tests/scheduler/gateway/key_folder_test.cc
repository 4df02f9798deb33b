#include "scheduler/gateway/key_folder.h"

#include <gtest/gtest.h>
#include <sys/stat.h>

#include <filesystem>
#include <fstream>

#include "scheduler/gateway/launcher/slurm_steps.h"
#include "tests/support/scratch_directory.h"

namespace lockstep {
namespace {

using Key = KeyFolder::Key;

constexpr ReplicaId kReplica{2};

ReplicaKeys keys() { return {.own = make_curve_key_pair(system_random()), .gateway = {}}; }

TEST(KeyFolderLook, FollowsAKeyFromItsOfferToItsEnd) {
  const ScratchDirectory scratch;
  const KeyFolder folder(scratch.path());
  const std::string taken = scratch.file("replica-2.taken");
  EXPECT_EQ(folder.look(kReplica), Key::kGone);
  ASSERT_TRUE(folder.offer(kReplica, keys()).ok());
  EXPECT_EQ(folder.look(kReplica), Key::kOffered);
  struct stat info {};
  ASSERT_EQ(::stat(scratch.file("replica-2.key").c_str(), &info), 0);
  EXPECT_EQ(info.st_mode & 0777, 0600U);
  std::filesystem::rename(scratch.file("replica-2.key"), taken);
  EXPECT_EQ(folder.look(kReplica), Key::kTaken);
  std::filesystem::remove(taken);
  EXPECT_EQ(folder.look(kReplica), Key::kGone);
}

TEST(KeyFolderOffer, ReplacesWhatWasTaken) {
  const ScratchDirectory scratch;
  const KeyFolder folder(scratch.path());
  ASSERT_TRUE(folder.offer(kReplica, keys()).ok());
  std::filesystem::rename(scratch.file("replica-2.key"), scratch.file("replica-2.taken"));
  std::ofstream(scratch.file("replica-2.step")) << "7.1\n";
  EXPECT_EQ(folder.step(kReplica), "7.1");
  ASSERT_TRUE(folder.offer(kReplica, keys()).ok());
  EXPECT_EQ(folder.look(kReplica), Key::kOffered);
  EXPECT_FALSE(std::filesystem::exists(scratch.file("replica-2.taken")));
  EXPECT_EQ(folder.step(kReplica), "");
}

TEST(IsStepOf, TakesStepsOfThisJobAlone) {
  EXPECT_TRUE(is_step_of("4711.0", "4711"));
  for (const char* step : {"4712.0", "4711", "4711.", "4711.batch", "4711.1 4712", "", ".",
                           "4711.-1", "--user=x", "4711.1\n"}) {
    EXPECT_FALSE(is_step_of(step, "4711")) << step;
  }
  EXPECT_FALSE(is_step_of(".1", ""));
}

}  // namespace
}  // namespace lockstep
