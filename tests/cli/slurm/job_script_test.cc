#include "cli/slurm/job_script.h"

#include <gtest/gtest.h>

namespace lockstep {
namespace {

TEST(RenderTemplate, PutsValuesInPlaceOnce) {
  const auto text = render_template("a={{x}}\nb={{y}}{{x}}\n", {{"x", "{{y}}"}, {"y", "2"}});
  ASSERT_TRUE(text.ok());
  EXPECT_EQ(text.value(), "a={{y}}\nb=2{{y}}\n");
}

TEST(RenderTemplate, NamesTheLineOfWhatHasNoValue) {
  const auto text = render_template("1\n2 {{modle}}\n", {{"model", "m"}});
  ASSERT_FALSE(text.ok());
  EXPECT_EQ(text.error().message, "line 2: no value \"modle\"; there are: model");
  EXPECT_FALSE(render_template("{{model", {{"model", "m"}}).ok());
}

TEST(ShellWord, LeavesPlainTextAndQuotesTheRest) {
  EXPECT_EQ(shell_word("/a/b-c_d.e:f=g,h"), "/a/b-c_d.e:f=g,h");
  EXPECT_EQ(shell_word(""), "''");
  EXPECT_EQ(shell_word("a b"), "'a b'");
  EXPECT_EQ(shell_word("it's $HOME"), "'it'\\''s $HOME'");
  EXPECT_EQ(shell_words({"--a", "b c"}), "--a 'b c'");
}

TEST(TimeMinutes, ReadsWhatSlurmReads) {
  const std::pair<const char*, int> cases[] = {
      {"90", 90},           {"1:30", 2},   {"10:00", 10},    {"1:30:00", 90},
      {"1:30:01", 91},      {"1-0", 1440}, {"1-12", 2160},   {"1-12:30", 2190},
      {"1-12:30:30", 2191}, {"0", 1},      {"2:00:00", 120},
  };
  for (const auto& [text, minutes] : cases) {
    const auto read = time_minutes(text);
    ASSERT_TRUE(read.ok()) << text;
    EXPECT_EQ(read.value(), minutes) << text;
  }
  for (const char* text : {"", "x", "1:", "-1", "1--1", "1:2:3:4", "UNLIMITED", "99999999999"}) {
    EXPECT_FALSE(time_minutes(text).ok()) << text;
  }
}

}  // namespace
}  // namespace lockstep
