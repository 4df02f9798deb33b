#include "cli/batch/line_leases.h"

#include <gtest/gtest.h>
#include <sys/stat.h>

#include "tests/support/scratch_directory.h"

namespace lockstep {
namespace {

using Claim = LineLeases::Claim;

class LineLeasesClaim : public testing::Test {
 protected:
  LineLeases leases(const std::string& holder) const {
    return LineLeases::open(scratch_.path() + "/leases", holder, 10'000).value();
  }
  // As if the holder had not renewed its leases for so long.
  void age(const std::string& holder, int seconds) const {
    struct stat info {};
    const std::string path = scratch_.path() + "/leases/holder-" + holder;
    ASSERT_EQ(::stat(path.c_str(), &info), 0);
    const timespec old = {info.st_mtim.tv_sec - seconds, 0};
    const timespec times[] = {old, old};
    ASSERT_EQ(::utimensat(0, path.c_str(), times, 0), 0);
  }

  ScratchDirectory scratch_;
};

TEST_F(LineLeasesClaim, GivesABlockToOne) {
  LineLeases a = leases("a");
  LineLeases b = leases("b");
  EXPECT_EQ(a.claim(3).value(), Claim::kOurs);
  EXPECT_EQ(b.claim(3).value(), Claim::kOthers);
  EXPECT_EQ(b.claim(4).value(), Claim::kOurs);
  EXPECT_EQ(a.claim(3).value(), Claim::kOurs);
}

TEST_F(LineLeasesClaim, GivesAFinishedBlockToNobody) {
  LineLeases a = leases("a");
  ASSERT_EQ(a.claim(0).value(), Claim::kOurs);
  ASSERT_TRUE(a.finish(0).ok());
  EXPECT_EQ(a.claim(0).value(), Claim::kDone);
  EXPECT_EQ(leases("b").claim(0).value(), Claim::kDone);
}

TEST_F(LineLeasesClaim, TakesALeaseThatNobodyRenews) {
  LineLeases a = leases("a");
  LineLeases b = leases("b");
  ASSERT_EQ(a.claim(0).value(), Claim::kOurs);
  age("a", 9);
  EXPECT_EQ(b.claim(0).value(), Claim::kOthers);
  age("a", 11);
  EXPECT_EQ(b.claim(0).value(), Claim::kOurs);
  EXPECT_EQ(leases("c").claim(0).value(), Claim::kOthers);
  ASSERT_TRUE(a.finish(0).ok());  // It was slow, and is done all the same.
  EXPECT_EQ(b.claim(0).value(), Claim::kDone);
}

TEST_F(LineLeasesClaim, GivesBackWhatTheHolderHadBeforeItWasStartedAgain) {
  ASSERT_EQ(leases("a").claim(0).value(), Claim::kOurs);
  EXPECT_EQ(leases("a").claim(0).value(), Claim::kOurs);
}

TEST(LineLeasesOpen, RefusesANameThatIsAPath) {
  const ScratchDirectory scratch;
  for (const char* holder : {"", "a/b", "..\n", "a b"}) {
    EXPECT_FALSE(LineLeases::open(scratch.path(), holder).ok()) << holder;
  }
}

}  // namespace
}  // namespace lockstep
