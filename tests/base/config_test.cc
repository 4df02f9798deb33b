#include "base/config.h"

#include <gtest/gtest.h>

#include <cstdlib>
#include <fstream>

namespace lockstep {
namespace {

using namespace std::string_view_literals;

Config from_file(std::string_view text) {
  Config config;
  const Status status = config.add_file(text, "l.toml");
  EXPECT_TRUE(status.ok()) << (status.ok() ? "" : status.error().message);
  return config;
}

std::string file_error(std::string_view text) {
  Config config;
  const Status status = config.add_file(text, "l.toml");
  return status.ok() ? "" : status.error().message;
}

TEST(ConfigFind, PrefersFlagsToEnvironmentToFileInWhateverOrderTheyCome) {
  Config config;
  config.set_flag("max-tokens", "1");
  config.add_environment({{"LOCKSTEP_MAX_TOKENS", "2"}, {"LOCKSTEP_THREADS", "3"}});
  ASSERT_TRUE(config.add_file("max_tokens = 4\nthreads = 5\nseed = 6\n", "l.toml").ok());
  EXPECT_EQ(config.find("max-tokens")->text, "1");
  EXPECT_EQ(config.find("max-tokens")->origin, "--max-tokens");
  EXPECT_EQ(config.find("threads")->text, "3");
  EXPECT_EQ(config.find("threads")->origin, "LOCKSTEP_THREADS");
  EXPECT_EQ(config.find("seed")->text, "6");
  EXPECT_EQ(config.find("seed")->origin, "l.toml:3");
  EXPECT_EQ(config.find("absent"), nullptr);
}

TEST(ConfigFind, PrefersATableOfTheFileToItsTopButNotToTheEnvironment) {
  Config config = from_file("threads = 1\nseed = 2\n[run]\nthreads = 3\nseed = 4\n");
  config.add_environment({{"LOCKSTEP_SEED", "5"}});
  EXPECT_EQ(config.find("threads", "run")->text, "3");
  EXPECT_EQ(config.find("threads")->text, "1");
  EXPECT_EQ(config.find("seed", "run")->text, "5");
}

TEST(ConfigAddEnvironment, LeavesOtherProgramsVariablesAlone) {
  Config config;
  config.add_environment({{"HOME", "/h"}, {"LOCKSTEP_", "x"}, {"XLOCKSTEP_A", "1"}});
  EXPECT_EQ(config.find("home"), nullptr);
  EXPECT_EQ(config.find(""), nullptr);
  EXPECT_EQ(config.find("a"), nullptr);
}

TEST(ConfigAddFile, TakesScalarsAndLists) {
  const Config config = from_file("a = true\nb = 0.25\nc = 'x y'\nd = [2, 1, 1]\ne = []\n");
  EXPECT_EQ(config.find("a")->text, "true");
  EXPECT_EQ(config.find("b")->text, "0.25");
  EXPECT_EQ(config.find("c")->text, "x y");
  EXPECT_EQ(config.find("d")->text, "2,1,1");
  EXPECT_EQ(config.find("e")->text, "");
}

TEST(ConfigAddFile, NamesFileAndLineOfWhatItRefuses) {
  EXPECT_TRUE(file_error("a = 1\nb = = 2\n").starts_with("l.toml:2: "));
  EXPECT_TRUE(file_error("a = 1\na = 2\n").starts_with("l.toml:2: "));
  EXPECT_EQ(file_error("a = 1979-05-27\n"),
            "l.toml:1: a: expected text, a number, true or false, or a list of them without "
            "commas");
  EXPECT_TRUE(file_error("a = [[1]]\n").starts_with("l.toml:1: a: "));
  EXPECT_TRUE(file_error("a = ['x,y']\n").starts_with("l.toml:1: a: "));
  EXPECT_EQ(file_error("[a.b.c.d.e]\nf = 1\n"),
            "l.toml:1: expected at most 4 nested tables, got \"a.b.c.d.e\"");
}

TEST(ConfigAddFile, RefusesALargeFile) {
  EXPECT_EQ(file_error(std::string(Config::kMaxFileBytes + 1, '\n')),
            "l.toml: has 65537 bytes, at most 65536 are read");
}

TEST(ConfigReadFile, NamesAMissingFile) {
  Config config;
  const Status status = config.read_file("/absent/l.toml");
  EXPECT_EQ(status.error().code, ErrorCode::kNotFound);
}

TEST(ConfigInteger, ChecksTheWholeTextAndTheRange) {
  Config config;
  config.set_flag("threads", "8x");
  EXPECT_EQ(config.integer("threads", 1, 64, 2).error().message,
            "--threads: expected an integer in [1, 64], got \"8x\"");
  for (const char* text : {"", " 8", "+8", "0x8", "65", "0", "99999999999999999999", "8.0"}) {
    config.set_flag("threads", text);
    EXPECT_FALSE(config.integer("threads", 1, 64, 2).ok()) << text;
  }
  config.set_flag("threads", "64");
  EXPECT_EQ(config.integer("threads", 1, 64, 2).value(), 64);
  EXPECT_EQ(config.integer("ranks", 1, 64, 2).value(), 2);
}

TEST(ConfigNumber, RefusesWhatIsNotFiniteOrNotInRange) {
  Config config;
  config.add_environment({{"LOCKSTEP_TOP_P", "1.5"}});
  EXPECT_EQ(config.number("top-p", 0, 1, 1).error().message,
            "LOCKSTEP_TOP_P: expected a number in [0, 1], got \"1.5\"");
  for (const char* text : {"nan", "inf", "", "0.5 ", "x"}) {
    config.set_flag("top-p", text);
    EXPECT_FALSE(config.number("top-p", 0, 1, 1).ok()) << text;
  }
  config.set_flag("top-p", "5e-1");
  EXPECT_EQ(config.number("top-p", 0, 1, 1).value(), 0.5);
}

TEST(ConfigFlag, KnowsTheUsualWords) {
  Config config;
  config.set_flag("a", "on");
  config.set_flag("b", "0");
  config.set_flag("c", "maybe");
  EXPECT_EQ(config.flag("a", false).value(), true);
  EXPECT_EQ(config.flag("b", true).value(), false);
  EXPECT_EQ(config.flag("absent", true).value(), true);
  EXPECT_EQ(config.flag("c", true).error().message, "--c: expected true or false, got \"maybe\"");
}

TEST(ConfigChoice, ListsTheChoices) {
  constexpr std::string_view kChoices[] = {"cpu", "cuda"};
  Config config = from_file("device = 'tpu'\n");
  EXPECT_EQ(config.choice("device", kChoices, "cpu").error().message,
            "l.toml:1: expected one of cpu cuda, got \"tpu\"");
  config.set_flag("device", "cuda");
  EXPECT_EQ(config.choice("device", kChoices, "cpu").value(), "cuda");
}

TEST(ConfigCheckNames, RefusesAMisspelledNameWithItsOrigin) {
  constexpr std::string_view kKnown[] = {"threads"};
  EXPECT_TRUE(from_file("threads = 1\n").check_names(kKnown).ok());
  EXPECT_EQ(from_file("thread = 1\n").check_names(kKnown).error().message,
            "l.toml:1: there is no option \"thread\"");
}

TEST(ConfigDescribe, ListsWhatWasAskedForWithItsOrigin) {
  Config config = from_file("seed = 7\nunused = 1\n");
  config.set_flag("threads", "8");
  static_cast<void>(config.integer("threads", 1, 64, 2));
  static_cast<void>(config.integer("seed", 0, 64, 2));
  static_cast<void>(config.number("top-p", 0, 1, 1));
  EXPECT_EQ(config.describe(),
            "seed = 7  # l.toml:1\nthreads = 8  # --threads\ntop-p = 1  # default\n");
}

TEST(EnvironmentVariable, ReadsThisProcess) {
  ASSERT_EQ(::setenv("LOCKSTEP_CONFIG_TEST", "a=b", 1), 0);
  EXPECT_EQ(environment_variable("LOCKSTEP_CONFIG_TEST"), "a=b");
  Config config;
  config.add_environment(process_environment());
  EXPECT_EQ(config.find("config-test")->text, "a=b");
  ::unsetenv("LOCKSTEP_CONFIG_TEST");
  EXPECT_EQ(environment_variable("LOCKSTEP_CONFIG_TEST"), std::nullopt);
}

}  // namespace
}  // namespace lockstep
