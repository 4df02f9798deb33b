#include "cli/options.h"

#include <gtest/gtest.h>

#include <limits>

namespace lockstep {
namespace {

template <typename T>
std::string message_of(const Result<T>& result) {
  return result.ok() ? "no error" : result.error().message;
}

TEST(ParseInteger, TakesBothEndsOfItsRange) {
  EXPECT_EQ(parse_integer<int>("1", {1, 64}).value(), 1);
  EXPECT_EQ(parse_integer<int>("64", {1, 64}).value(), 64);
  EXPECT_EQ(parse_integer<std::int64_t>("-3", {-3, 0}).value(), -3);
  EXPECT_EQ(parse_integer<std::uint64_t>("18446744073709551615", {0, UINT64_MAX}).value(),
            UINT64_MAX);
}

TEST(ParseInteger, ReadsLeadingZerosAsDecimal) {
  EXPECT_EQ(parse_integer<int>("010", {1, 64}).value(), 10);
}

TEST(ParseInteger, SaysWhatItExpected) {
  EXPECT_EQ(message_of(parse_integer<int>("8x", {1, 64})),
            "expected an integer in [1, 64], got \"8x\"");
}

TEST(ParseInteger, RefusesWhateverIsNoIntegerInTheRange) {
  for (const char* text : {"", " 8", "8 ", "+8", "0x8", "8.0", "1e1", "0", "65", "-1", "eight",
                           "99999999999999999999"}) {
    EXPECT_FALSE(parse_integer<int>(text, {1, 64}).ok()) << text;
  }
}

TEST(ParseInteger, ShowsLongAndBinaryTextShortened) {
  const std::string message = message_of(parse_integer<int>("\n" + std::string(100, 'a'), {1, 2}));
  EXPECT_EQ(message, "expected an integer in [1, 2], got \"?" + std::string(59, 'a') + "...\"");
}

TEST(ParseNumber, TakesFractionsAndExponents) {
  EXPECT_EQ(parse_number<float>("0.25", {0, 1}).value(), 0.25F);
  EXPECT_EQ(parse_number<double>("1e-3", {0, 1}).value(), 1e-3);
}

TEST(ParseNumber, RefusesInfinityAndNan) {
  constexpr double kMax = std::numeric_limits<double>::max();
  for (const char* text : {"inf", "-inf", "nan", "1e999", "", "1,5", "0x1p3"}) {
    EXPECT_FALSE(parse_number<double>(text, {-kMax, kMax}).ok()) << text;
  }
}

TEST(ParseNumber, NamesOnlyTheBoundsThatThereAre) {
  constexpr float kMax = std::numeric_limits<float>::max();
  EXPECT_EQ(message_of(parse_number<float>("x", {0, 1})), "expected a number in [0, 1], got \"x\"");
  EXPECT_EQ(message_of(parse_number<float>("x", {0, kMax})),
            "expected a number of at least 0, got \"x\"");
  EXPECT_EQ(message_of(parse_number<float>("x", {-kMax, kMax})), "expected a number, got \"x\"");
}

TEST(ParseList, SplitsAtCommas) {
  EXPECT_EQ(parse_list<int>("2,1,1", {1, 9}, 3).value(), (std::vector<int>{2, 1, 1}));
  EXPECT_EQ(parse_list<int>("7", {1, 9}, 3).value(), std::vector<int>{7});
}

TEST(ParseList, NamesTheElementThatIsWrong) {
  EXPECT_EQ(message_of(parse_list<int>("2,,1", {1, 9}, 3)),
            "element 2: expected an integer in [1, 9], got \"\"");
  EXPECT_FALSE(parse_list<int>("", {1, 9}, 3).ok());
  EXPECT_FALSE(parse_list<int>("1,", {1, 9}, 3).ok());
}

TEST(ParseList, StopsAtItsLimit) {
  EXPECT_EQ(message_of(parse_list<int>("1,1,1,1", {1, 9}, 3)), "more than 3 elements");
}

TEST(ParseByteSize, KnowsBinaryUnits) {
  constexpr Bounds<std::uint64_t> kAny = {0, UINT64_MAX};
  EXPECT_EQ(parse_byte_size("1000", kAny).value(), 1000U);
  EXPECT_EQ(parse_byte_size("4GiB", kAny).value(), std::uint64_t{4} << 30);
  EXPECT_EQ(parse_byte_size("512 MiB", kAny).value(), std::uint64_t{512} << 20);
  EXPECT_EQ(parse_byte_size("3KiB", kAny).value(), 3072U);
}

TEST(ParseByteSize, RefusesOtherUnitsAndOverflow) {
  constexpr Bounds<std::uint64_t> kAny = {0, UINT64_MAX};
  for (const char* text : {"4GB", "4G", "GiB", "1.5GiB", "-1", "4  GiB", "16777216TiB", ""}) {
    EXPECT_FALSE(parse_byte_size(text, kAny).ok()) << text;
  }
  EXPECT_FALSE(parse_byte_size("1MiB", {1, 1000}).ok());
}

TEST(ByteSizeText, ReadsBackAsTheSameNumber) {
  EXPECT_EQ(byte_size_text(std::uint64_t{4} << 30), "4GiB");
  EXPECT_EQ(byte_size_text(1536), "1536");
  EXPECT_EQ(byte_size_text(0), "0");
}

// What an option does with these arguments: "" or CLI11's message.
std::string parse(CLI::App& app, std::vector<std::string> reversed) {
  try {
    app.parse(std::move(reversed));
    return "";
  } catch (const CLI::ParseError& error) {
    return error.what();
  }
}

TEST(AddInteger, NamesTheFlagInItsMessage) {
  CLI::App app;
  int ranks = 1;
  add_integer(app, "-r,--ranks", ranks, {1, 64}, "Ranks.");
  EXPECT_EQ(parse(app, {"8x", "-r"}), "--ranks: expected an integer in [1, 64], got \"8x\"");
  EXPECT_EQ(ranks, 1);
}

TEST(AddInteger, LeavesAnOptionalEmptyUntilItIsGiven) {
  CLI::App app;
  std::optional<int> parts;
  add_integer(app, "--parts", parts, {1, 16}, "Parts.");
  EXPECT_EQ(parse(app, {}), "");
  EXPECT_FALSE(parts.has_value());
  EXPECT_EQ(parse(app, {"--parts=9"}), "");
  EXPECT_EQ(parts, 9);
}

TEST(AddInteger, ShowsItsDefaultBehindTheDescription) {
  CLI::App app;
  int tokens = 256;
  EXPECT_EQ(add_integer(app, "--a", tokens, {1, 999}, "At most.")->get_description(),
            "At most. [256]");
  EXPECT_EQ(add_integer(app, "--b", tokens, {1, 999}, "At most. [what fits]")->get_description(),
            "At most. [what fits]");
}

TEST(AddInteger, TakesAnotherOptionsNameAsAWrongValue) {
  CLI::App app;
  int ranks = 1;
  bool json = false;
  add_integer(app, "--ranks", ranks, {1, 64}, "Ranks.");
  add_flag(app, "--json", json, "JSON.");
  EXPECT_NE(parse(app, {"--json", "--ranks"}), "");
}

TEST(AddFlag, RefusesToBeGivenTwice) {
  CLI::App app;
  bool json = false;
  add_flag(app, "--json", json, "JSON.");
  EXPECT_NE(parse(app, {"--json", "--json"}), "");
}

TEST(AddText, TakesTextThatLooksLikeAnOption) {
  CLI::App app;
  std::string prompt;
  add_text(app, "--prompt", prompt, "Prompt.");
  EXPECT_EQ(parse(app, {"--json", "--prompt"}), "");
  EXPECT_EQ(prompt, "--json");
}

TEST(AddText, TakesEmptyTextAndTextOfManyLines) {
  CLI::App app;
  std::optional<std::string> prompt;
  add_text(app, "--prompt", prompt, "Prompt.");
  EXPECT_EQ(parse(app, {"", "--prompt"}), "");
  EXPECT_EQ(prompt, "");
  EXPECT_EQ(parse(app, {"a\n[b],{c}", "--prompt"}), "");
  EXPECT_EQ(prompt, "a\n[b],{c}");
}

TEST(AddChoice, ListsTheChoices) {
  CLI::App app;
  std::string bits = "16";
  add_choice(app, "--kv-bits", bits, {"16", "8"}, "Width.");
  EXPECT_EQ(parse(app, {"9", "--kv-bits"}), "--kv-bits: expected one of 16, 8, got \"9\"");
  EXPECT_EQ(parse(app, {"8", "--kv-bits"}), "");
  EXPECT_EQ(bits, "8");
}

}  // namespace
}  // namespace lockstep
