#include "cli/output.h"

#include <gtest/gtest.h>

#include "cli/progress_bar.h"
#include "cli/usage_error.h"

namespace lockstep {
namespace {

TEST(HumanBytes, ShowsThreeDigits) {
  EXPECT_EQ(human_bytes(0), "0 B");
  EXPECT_EQ(human_bytes(999), "999 B");
  EXPECT_EQ(human_bytes(1000), "1.00 kB");
  EXPECT_EQ(human_bytes(98'362'432), "98.4 MB");
  EXPECT_EQ(human_bytes(999'499), "999 kB");
  EXPECT_EQ(human_bytes(999'999), "1.00 MB");
  EXPECT_EQ(human_bytes(UINT64_MAX), "18.4 EB");
}

TEST(HumanSeconds, ShowsTwoUnitsAtMost) {
  EXPECT_EQ(human_seconds(3.6), "4s");
  EXPECT_EQ(human_seconds(65), "1m05s");
  EXPECT_EQ(human_seconds(7380), "2h03m");
  EXPECT_EQ(human_seconds(1e300), "99h59m");
}

TEST(GroupedDigits, SetsACommaEveryThreeDigits) {
  EXPECT_EQ(grouped_digits(0), "0");
  EXPECT_EQ(grouped_digits(999), "999");
  EXPECT_EQ(grouped_digits(1000), "1,000");
  EXPECT_EQ(grouped_digits(1'234'567), "1,234,567");
}

TEST(FormatTable, SetsColumnsOfNumbersFlushRight) {
  EXPECT_EQ(format_table({{"name", "size"}, {"a", "5 B"}, {"long", "1000 B"}}, "  "),
            "  name    size\n"
            "  a        5 B\n"
            "  long  1000 B\n");
}

TEST(FormatTable, CountsCharactersNotBytes) {
  EXPECT_EQ(format_table({{"h", "x"}, {"\xC3\xA9\xC3\xA9", "y"}}, ""),
            "h   x\n\xC3\xA9\xC3\xA9  y\n");
}

TEST(FormatTable, LeavesNoTrailingSpace) {
  EXPECT_EQ(format_table({{"a", "b"}, {"long cell", ""}}, ""), "a          b\nlong cell\n");
}

TEST(ProgressLine, ShowsBytesRateAndTimeLeft) {
  EXPECT_EQ(progress_line(25'000'000, 100'000'000, 1.0, 80),
            "[========>                         ]  25.0 MB / 100 MB   25%  25.0 MB/s  ETA 3s");
}

TEST(ProgressLine, FitsTheTerminal) {
  for (int columns = 1; columns <= 200; ++columns) {
    for (const std::uint64_t done : {0U, 1U, 50U, 100U, 200U}) {
      EXPECT_LT(progress_line(done, 100, 1.0, columns).size(), static_cast<std::size_t>(columns));
    }
  }
}

TEST(ProgressLine, IsFullAtTheEnd) {
  EXPECT_EQ(progress_line(100, 100, 0, 40), "[================]  100 B / 100 B  100%");
  EXPECT_EQ(progress_line(200, 100, 1, 80), progress_line(100, 100, 1, 80));
  EXPECT_NE(progress_line(0, 0, 0, 80).find("100%"), std::string::npos);
}

TEST(Closest, FindsSlipsOfTheFinger) {
  const std::vector<std::string> names = {"--ranks", "--threads", "--max-tokens"};
  EXPECT_EQ(closest("--rnaks", names), "--ranks");
  EXPECT_EQ(closest("--thread", names), "--threads");
  EXPECT_EQ(closest("--rrankss", names), "--ranks");
  EXPECT_EQ(closest("--rns", names), "--ranks");
  EXPECT_EQ(closest("--max", names), "--max-tokens");
  EXPECT_EQ(closest("--weights", names), "");
  EXPECT_EQ(closest("-x", names), "");
}

}  // namespace
}  // namespace lockstep
