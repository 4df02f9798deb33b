#include "base/log.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <array>
#include <vector>

namespace lockstep {
namespace {

constexpr std::int64_t kNoon = 1'700'000'000'120;  // 2023-11-14 22:13:20.120 UTC.

std::string line(const std::vector<LogField>& fields, LogFormat format = LogFormat::kText) {
  return format_log_line({.level = LogLevel::kInfo,
                          .event = "step_done",
                          .fields = fields,
                          .unix_ms = kNoon,
                          .rank = 3,
                          .world_size = 8},
                         format);
}

// What `function` writes to stderr.
template <typename Function>
std::string captured(Function&& function) {
  std::array<int, 2> ends{};
  EXPECT_EQ(::pipe(ends.data()), 0);
  const int saved = ::dup(STDERR_FILENO);
  ::dup2(ends[1], STDERR_FILENO);
  function();
  ::dup2(saved, STDERR_FILENO);
  ::close(saved);
  ::close(ends[1]);
  std::string text(4096, '\0');
  const ssize_t size = ::read(ends[0], text.data(), text.size());
  ::close(ends[0]);
  text.resize(static_cast<std::size_t>(size));
  return text;
}

TEST(FormatLogLine, WritesLevelTimeRankEventAndFields) {
  EXPECT_EQ(line({{"step", 412}, {"decode_tokens", 64U}, {"step_ms", 11.8}, {"ok", true}}),
            "I 22:13:20.120 rank=3/8 step_done step=412 decode_tokens=64 step_ms=11.8 ok=true\n");
}

TEST(FormatLogLine, LeavesTheRankOutWhenThereIsNone) {
  EXPECT_EQ(
      format_log_line({.level = LogLevel::kError, .event = "lost", .unix_ms = 7}, LogFormat::kText),
      "E 00:00:00.007 lost\n");
}

TEST(FormatLogLine, QuotesTextThatIsNotOneWordSoThatALineStaysALine) {
  EXPECT_EQ(line({{"path", "/a/b.h5"}, {"text", "two words\n"}, {"empty", ""}, {"e", "a=b"}}),
            "I 22:13:20.120 rank=3/8 step_done path=/a/b.h5 text=\"two words\\n\" empty=\"\" "
            "e=\"a=b\"\n");
}

TEST(FormatLogLine, WritesTheSameAsJson) {
  EXPECT_EQ(line({{"step", UINT64_MAX}, {"text", "a\"\n"}, {"bad", "\xFF"}}, LogFormat::kJson),
            "{\"time\":\"2023-11-14T22:13:20.120Z\",\"level\":\"info\",\"rank\":3,\"world_size\":8,"
            "\"event\":\"step_done\",\"step\":18446744073709551615,\"text\":\"a\\\"\\n\","
            "\"bad\":\"\xEF\xBF\xBD\"}\n");
}

TEST(LogEvent, WritesOnlyWhatTheLevelLetsThrough) {
  const std::string text = captured([] {
    configure_log(LogLevel::kWarning, LogFormat::kText);
    log_event(LogLevel::kInfo, "quiet");
    log_event(LogLevel::kWarning, "loud", {{"n", 1}});
    configure_log(LogLevel::kOff, LogFormat::kText);
    log_event(LogLevel::kError, "off");
    log_event(LogLevel::kOff, "never");
    configure_log(LogLevel::kInfo, LogFormat::kText);
  });
  EXPECT_TRUE(text.starts_with("W ")) << text;
  EXPECT_TRUE(text.ends_with(" loud n=1\n")) << text;
  EXPECT_EQ(text.find('\n'), text.size() - 1);
}

TEST(ParseLogLevel, KnowsItsNamesAndListsThem) {
  EXPECT_EQ(parse_log_level("debug").value(), LogLevel::kDebug);
  EXPECT_EQ(parse_log_level("off").value(), LogLevel::kOff);
  EXPECT_EQ(parse_log_level("loud").error().message,
            "expected debug, info, warning, error or off, got \"loud\"");
}

}  // namespace
}  // namespace lockstep
