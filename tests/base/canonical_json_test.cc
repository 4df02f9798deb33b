#include "base/canonical_json.h"

#include <gtest/gtest.h>

namespace lockstep {
namespace {

std::string nested(int levels) {
  return std::string(static_cast<std::size_t>(levels), '[') +
         std::string(static_cast<std::size_t>(levels), ']');
}

TEST(CanonicalDump, SortsKeysBytewiseAndWritesNoSpace) {
  const Json value = {{"b", 1}, {"a", {1, -2, true, nullptr}}, {"é", "x"}, {"B", "\n\"/"}};
  EXPECT_EQ(canonical_dump(value).value(),
            "{\"B\":\"\\n\\\"/\",\"a\":[1,-2,true,null],\"b\":1,\"é\":\"x\"}");
}

TEST(CanonicalDump, RefusesFloatsAndTextThatIsNoUtf8) {
  EXPECT_EQ(canonical_dump(Json{{"a", {{"b", 1.0}}}}).error().code, ErrorCode::kInvalidArgument);
  EXPECT_EQ(canonical_dump(Json("\xFF")).error().code, ErrorCode::kInvalidArgument);
}

TEST(ParseJson, GivesBackWhatCanonicalDumpWrote) {
  const std::string text = R"({"a":[1,-2,18446744073709551615],"b":{"c":"\u0001é"}})";
  EXPECT_EQ(canonical_dump(parse_json(text).value()).value(), text);
}

TEST(ParseJson, BoundsTheDepth) {
  EXPECT_TRUE(parse_json(nested(32)).ok());
  EXPECT_EQ(parse_json(nested(33)).error().message, "JSON: more than 32 levels");
  EXPECT_TRUE(parse_json(nested(2), 2).ok());
  EXPECT_FALSE(parse_json(nested(3), 2).ok());
  EXPECT_FALSE(parse_json(std::string(1'000'000, '[')).ok());
}

TEST(ParseJson, RefusesAKeyGivenTwiceInOneObjectOnly) {
  EXPECT_EQ(parse_json(R"({"a":1,"b":{"a":2},"a":3})").error().message, "JSON: key \"a\" twice");
  EXPECT_TRUE(parse_json(R"({"a":{"a":1},"b":[{"a":2},{"a":3}]})").ok());
}

TEST(ParseJson, RefusesTrailingBytesAndNonsense) {
  for (const char* text : {"", "{", "{} x", "[1,]", "nul", "\xFF", "{\"a\"}", "1 2", "[NaN]"}) {
    const auto parsed = parse_json(text);
    ASSERT_FALSE(parsed.ok()) << text;
    EXPECT_EQ(parsed.error().code, ErrorCode::kCorrupt);
  }
}

TEST(JsonMember, NamesTheKeyThatIsMissing) {
  const Json object = {{"a", 1}};
  EXPECT_EQ(*json_member(object, "a").value(), 1);
  EXPECT_EQ(json_member(object, "b").error().message, "\"b\" is missing");
  EXPECT_FALSE(json_member(Json::array(), "b").ok());
}

TEST(JsonInteger, ChecksTypeAndRange) {
  const Json object = {{"n", 5}, {"big", UINT64_MAX}, {"text", "5"}, {"real", 5.0}, {"low", -1}};
  EXPECT_EQ(json_integer(object, "n", 5, 5).value(), 5);
  EXPECT_EQ(json_integer(object, "low", -1, 0).value(), -1);
  EXPECT_EQ(json_integer(object, "n", 6, 9).error().message, "\"n\": 5 is not in [6, 9]");
  for (const char* key : {"big", "text", "real", "low", "absent"}) {
    EXPECT_FALSE(json_integer(object, key, 0, INT64_MAX).ok()) << key;
  }
}

TEST(JsonText, ChecksTheType) {
  const Json object = {{"s", "x"}, {"n", 1}};
  EXPECT_EQ(json_text(object, "s").value(), "x");
  EXPECT_FALSE(json_text(object, "n").ok());
}

TEST(JsonFlag, ChecksTheType) {
  const Json object = {{"f", true}, {"n", 1}};
  EXPECT_EQ(json_flag(object, "f").value(), true);
  EXPECT_FALSE(json_flag(object, "n").ok());
}

}  // namespace
}  // namespace lockstep
