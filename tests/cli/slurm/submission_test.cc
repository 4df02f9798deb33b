#include "cli/slurm/submission.h"

#include <gtest/gtest.h>

namespace lockstep {
namespace {

Submission submission() {
  Submission one;
  one.program = "/bin/lockstep";
  one.model = "/m";
  one.home = "/h";
  return one;
}

std::string render(const Submission& one, const std::string& text, const SlurmSite& site = {}) {
  const auto script = job_script(one, site, text);
  return script.ok() ? script.value() : "error: " + script.error().message;
}

TEST(JobScript, SpreadsRanksOverNodes) {
  Submission one = submission();
  one.nodes = 3;
  one.ranks = {2, 1};
  EXPECT_EQ(render(one, "{{replicas}} {{ranks_per_node}}"), "2 1 1");
  one.ranks = {4};
  one.replicas = 3;
  EXPECT_EQ(render(one, "{{replicas}} {{ranks_per_node}}"), "4 4 4 4");
  one.ranks_per_node = 3;
  EXPECT_EQ(render(one, ""),
            "error: submit: --nodes: 3 nodes with 3 ranks each have no room for 12 ranks");
}

TEST(JobScript, HasASuccessorBeforeItsTimeIsOver) {
  Submission one = submission();
  EXPECT_EQ(render(one, "{{successor_minutes}}"), "-1");
  one.time = "2:00:00";
  SlurmSite site;
  site.overlap_minutes = 10;
  EXPECT_EQ(render(one, "{{successor_minutes}}", site), "110");
  one.time = "5";
  EXPECT_EQ(render(one, "{{successor_minutes}}", site), "0");
  one.has_successor = false;
  EXPECT_EQ(render(one, "{{successor_minutes}}", site), "-1");
  one.time = "soon";
  one.has_successor = true;
  EXPECT_NE(render(one, "", site).find("--time: expected a time"), std::string::npos);
}

TEST(JobScript, GivesEachOptionOnce) {
  Submission one = submission();
  one.partition = "mine";
  one.sbatch = {"--nodes=7"};
  SlurmSite site;
  site.partition = "theirs";
  site.required = {"--exclusive"};
  const std::string text = render(one, "{{directives}}", site);
  EXPECT_NE(text.find("#SBATCH --partition=mine\n"), std::string::npos);
  EXPECT_EQ(text.find("theirs"), std::string::npos);
  EXPECT_EQ(text.find("--nodes=1"), std::string::npos);
  EXPECT_TRUE(text.ends_with("#SBATCH --exclusive\n#SBATCH --nodes=7"));
}

TEST(JobScript, RefusesWhatTheSiteForbidsOrALineCannotHold) {
  Submission one = submission();
  SlurmSite site;
  site.path = "/s.toml";
  site.forbidden = {"--qos"};
  one.qos = "high";
  EXPECT_EQ(render(one, "", site), "error: submit: --qos: this site forbids it (/s.toml)");
  one.qos.clear();
  for (const char* name : {"a b", "a\nb", "a\"b", "a#b"}) {
    one.name = name;
    EXPECT_NE(render(one, "").find("cannot stand in a line of #SBATCH"), std::string::npos);
  }
}

}  // namespace
}  // namespace lockstep
