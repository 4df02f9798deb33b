#include "sharding/stop_matcher.h"

#include <gtest/gtest.h>

#include <random>

namespace lockstep {
namespace {

struct Outcome {
  std::string shown;
  bool matched = false;

  bool operator==(const Outcome&) const = default;
};

Outcome run(const std::vector<std::string>& stops, const std::vector<std::string>& pieces) {
  StopMatcher matcher(stops);
  Outcome out;
  for (const std::string& piece : pieces) out.shown += matcher.push(piece);
  out.shown += matcher.finish();
  out.matched = matcher.matched();
  return out;
}

// What the page says, byte by byte: the first end of a stop string, of equal ends the longest.
Outcome expected(const std::vector<std::string>& stops, const std::string& text) {
  for (std::size_t end = 1; end <= text.size(); ++end) {
    std::size_t longest = 0;
    for (const std::string& stop : stops) {
      if (std::string_view(text).substr(0, end).ends_with(stop)) {
        longest = std::max(longest, stop.size());
      }
    }
    if (longest > 0) return {text.substr(0, end - longest), true};
  }
  return {text, false};
}

// Every way to cut the text into pieces. Requires: a short text.
void expect_at_every_cut(const std::vector<std::string>& stops, const std::string& text) {
  const Outcome wanted = expected(stops, text);
  for (std::uint32_t cuts = 0; cuts < 1U << (text.size() - 1); ++cuts) {
    std::vector<std::string> pieces = {""};
    for (std::size_t i = 0; i < text.size(); ++i) {
      pieces.back() += text[i];
      if ((cuts >> i & 1) != 0) pieces.emplace_back();
    }
    const Outcome got = run(stops, pieces);
    ASSERT_EQ(got.shown, wanted.shown) << text << ", cuts " << cuts;
    ASSERT_EQ(got.matched, wanted.matched) << text << ", cuts " << cuts;
  }
}

TEST(StopMatcherPush, ShowsEverythingWithoutStops) {
  StopMatcher matcher({});
  EXPECT_EQ(matcher.push("some text"), "some text");
  EXPECT_FALSE(matcher.matched());
  EXPECT_EQ(matcher.finish(), "");
}

TEST(StopMatcherPush, ShowsTheTextInFrontOfAMatchAndDropsTheRest) {
  StopMatcher matcher({"END"});
  EXPECT_EQ(matcher.push("one END two"), "one ");
  EXPECT_TRUE(matcher.matched());
  EXPECT_EQ(matcher.push("three"), "");
  EXPECT_EQ(matcher.finish(), "");
}

TEST(StopMatcherPush, HoldsBackWhatMayBecomeAStop) {
  StopMatcher matcher({"</s>", "\n\n"});
  EXPECT_EQ(matcher.push("a</"), "a");
  EXPECT_EQ(matcher.push("b\n"), "</b");
  EXPECT_EQ(matcher.push("c<"), "\nc");
  EXPECT_EQ(matcher.finish(), "<");
}

TEST(StopMatcherPush, TakesTheFirstOfSeveralMatches) {
  EXPECT_EQ(run({"two", "one"}, {"zero one two"}), (Outcome{"zero ", true}));
}

TEST(StopMatcherPush, GoesByTheFirstEndWhenStopsOverlap) {
  for (const auto& pieces : std::vector<std::vector<std::string>>{{"xabcd"}, {"xabc", "d"}}) {
    EXPECT_EQ(run({"abcd", "bc"}, pieces), (Outcome{"xa", true}));
  }
  EXPECT_EQ(run({"c", "abc"}, {"xabc"}), (Outcome{"x", true}));
  EXPECT_EQ(run({"ab", "abc"}, {"xabc"}), (Outcome{"x", true}));
}

TEST(StopMatcherPush, FindsStopsAtEveryCut) {
  expect_at_every_cut({"stop"}, "a stop b");
  expect_at_every_cut({"aab"}, "aaaab aab");
  expect_at_every_cut({"abab", "ba"}, "xababab");
  expect_at_every_cut({"abcd", "bc"}, "abxabcdx");
  expect_at_every_cut({"nothing"}, "nothinnoth");
  expect_at_every_cut({"é"}, "e\xC3\xA9\xC3");
}

TEST(StopMatcherPush, AgreesWithTheDefinitionOnRandomText) {
  std::mt19937_64 random(5);
  const auto word = [&](std::uint64_t length) {
    std::string out;
    for (; length > 0; --length) out += static_cast<char>('a' + random() % 2);
    return out;
  };
  for (int i = 0; i < 2000; ++i) {
    std::vector<std::string> stops;
    for (std::uint64_t n = 1 + random() % 3; n > 0; --n) stops.push_back(word(1 + random() % 6));
    const std::string text = word(random() % 24);
    std::vector<std::string> pieces;
    for (std::size_t at = 0; at < text.size();) {
      pieces.push_back(text.substr(at, 1 + random() % 4));
      at += pieces.back().size();
    }
    ASSERT_EQ(run(stops, pieces), expected(stops, text)) << "seed 5, text " << i << ": " << text;
  }
}

TEST(StopMatcherFinish, ReleasesWhatWasHeld) {
  EXPECT_EQ(run({"abc"}, {"xa", "b"}), (Outcome{"xab", false}));
}

TEST(StopMatcherDeathTest, RefusesAnEmptyStop) {
  GTEST_FLAG_SET(death_test_style, "fast");
  EXPECT_DEATH(StopMatcher({""}), "empty stop string");
}

}  // namespace
}  // namespace lockstep
