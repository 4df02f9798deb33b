#include "cli/slurm/site.h"

#include <gtest/gtest.h>

namespace lockstep {
namespace {

TEST(ParseSite, ReadsEveryKindOfValue) {
  const auto site = parse_site(
      "partition = \"gpu\"\nrequired = [\"--exclusive\", \"--x=y\"]\nsrun = \"--cpu-bind=cores "
      "--hint=x,y\"\n"
      "overlap_minutes = 7\nsetup = '''\nmodule load a\nmodule load b\n'''\n",
      "s.toml");
  ASSERT_TRUE(site.ok()) << site.error().message;
  EXPECT_EQ(site.value().partition, "gpu");
  EXPECT_EQ(site.value().required, (std::vector<std::string>{"--exclusive", "--x=y"}));
  EXPECT_EQ(site.value().srun, (std::vector<std::string>{"--cpu-bind=cores", "--hint=x,y"}));
  EXPECT_EQ(site.value().overlap_minutes, 7);
  EXPECT_EQ(site.value().setup, "module load a\nmodule load b\n");
  EXPECT_EQ(site.value().mpi, "pmix");
}

TEST(ParseSite, RefusesUnknownNamesAndValues) {
  for (const char* text : {"partitoin = \"x\"", "overlap_minutes = -1", "required = \"exclusive\"",
                           "signal_seconds = 1", "x"}) {
    const auto site = parse_site(text, "s.toml");
    ASSERT_FALSE(site.ok()) << text;
    EXPECT_NE(site.error().message.find("s.toml"), std::string::npos) << site.error().message;
  }
}

}  // namespace
}  // namespace lockstep
