#include <gtest/gtest.h>

#include "cli/doctor/slurm_checks.h"

namespace lockstep {
namespace {

std::vector<RankFinding> findings() {
  RankFinding one;
  one.node = "n1";
  one.store = "aa";
  one.locked_bytes = UINT64_MAX;
  one.shared_memory_free = 1 << 30;
  one.scratch = "/scratch";
  one.scratch_free = 1 << 30;
  RankFinding other = one;
  other.node = "n2";
  other.lock = 1;
  return {one, other};
}

CheckState state_of(const std::vector<Check>& checks, const std::string& name) {
  for (const Check& check : checks) {
    if (check.name != name) continue;
    EXPECT_EQ(check.state == CheckState::kOk, check.fix.empty()) << name;
    return check.state;
  }
  ADD_FAILURE() << "no check " << name;
  return CheckState::kOk;
}

TEST(Judge, FindsNothingWrongWithWhatIsRight) {
  for (const Check& check : judge(findings(), 2)) {
    EXPECT_EQ(check.state, CheckState::kOk) << check.name;
  }
}

TEST(Judge, FindsEachFault) {
  struct Case {
    const char* name;
    void (*spoil)(std::vector<RankFinding>&);
    CheckState state = CheckState::kMissing;
  };
  const Case cases[] = {
      {"devices",
       [](auto& all) {
         all[1].node = "n1";
         all[0].devices = all[1].devices = "0";
       }},
      {"locked memory", [](auto& all) { all[1].locked_bytes = 65'536; }, CheckState::kWarn},
      {"/dev/shm", [](auto& all) { all[1].shared_memory_free = 1 << 20; }},
      {"scratch", [](auto& all) { all[1].scratch_free = 0; }},
      {"model", [](auto& all) { all[1].store = "bb"; }},
      {"model", [](auto& all) { all[0].fault = "no such file"; }},
      {"file locks", [](auto& all) { all[1].lock = -1; }},
  };
  for (const Case& one : cases) {
    std::vector<RankFinding> all = findings();
    one.spoil(all);
    EXPECT_EQ(state_of(judge(all, 2), one.name), one.state) << one.name;
  }
  EXPECT_EQ(state_of(judge(findings(), 3), "MPI world"), CheckState::kMissing);
}

TEST(Judge, LetsRanksOfTwoNodesHaveGpusOfOneNumber) {
  std::vector<RankFinding> all = findings();
  all[0].devices = all[1].devices = "0";
  EXPECT_EQ(state_of(judge(all, 2), "devices"), CheckState::kOk);
}

TEST(ParseFinding, ReadsWhatWasWrittenAndNothingElse) {
  RankFinding sent = findings()[1];
  sent.fault = "\xff";  // Not UTF-8: still one JSON text.
  const auto read = parse_finding(encode_finding(sent));
  ASSERT_TRUE(read.ok());
  EXPECT_EQ(read.value().node, "n2");
  EXPECT_EQ(read.value().locked_bytes, UINT64_MAX);
  EXPECT_EQ(read.value().lock, 1);
  EXPECT_FALSE(parse_finding("{}").ok());
}

TEST(SecondsLeft, ReadsWhatSqueuePrints) {
  EXPECT_EQ(seconds_left("1-02:03:04"), 93'784);
  EXPECT_EQ(seconds_left("2:03:04"), 7'384);
  EXPECT_EQ(seconds_left("0:59"), 59);
  for (const char* text : {"UNLIMITED", "INVALID", "", "NOT_SET", "-", "1-"}) {
    EXPECT_EQ(seconds_left(text), -1) << text;
  }
}

}  // namespace
}  // namespace lockstep
