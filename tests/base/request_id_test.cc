#include "base/request_id.h"

#include <algorithm>

#include <gtest/gtest.h>

namespace lockstep {
namespace {

// Fills with one byte.
class ConstantRandom final : public Random {
 public:
  explicit ConstantRandom(std::uint8_t value) : value_(value) {}
  void fill(std::span<std::uint8_t> out) override { std::ranges::fill(out, value_); }

 private:
  std::uint8_t value_;
};

TEST(RequestIdText, IsReadBackEqual) {
  ConstantRandom random(0xAB);
  const RequestId id = RequestIdSource(random).next(0x0123456789AB);
  EXPECT_EQ(id.text(), "0123456789ab7babab2babababababab");
  const auto parsed = RequestId::parse(id.text());
  ASSERT_TRUE(parsed.ok());
  EXPECT_EQ(parsed.value(), id);
  EXPECT_EQ(id.unix_ms(), 0x0123456789AB);
}

TEST(RequestIdParse, RefusesWhatHasNot32LowerCaseDigits) {
  for (const char* text :
       {"", "0123", "0123456789ABCDEF0123456789ABCDEF", "0x23456789abcdef0123456789abcdef",
        "0123456789abcdef0123456789abcdefa"}) {
    EXPECT_FALSE(RequestId::parse(text).ok()) << text;
  }
}

TEST(RequestIdSourceNext, GrowsWithinAMillisecondAndWhenTheClockGoesBack) {
  ConstantRandom random(0xFF);
  RequestIdSource source(random);
  RequestId last = source.next(1000);
  for (int i = 0; i < 1000; ++i) {
    const RequestId id = source.next(1000 - i % 3);
    EXPECT_GT(id, last);
    EXPECT_EQ(id.bytes[6] >> 4, 7);
    EXPECT_EQ(id.bytes[8] >> 6, 2);
    last = id;
  }
  EXPECT_EQ(last.unix_ms(), 1000);
  EXPECT_GT(source.next(2000), last);
}

}  // namespace
}  // namespace lockstep
