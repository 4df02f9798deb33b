#include "base/bytes.h"

#include <gtest/gtest.h>

namespace lockstep {
namespace {

TEST(ToHex, WritesTwoLowerCaseDigitsAByte) {
  EXPECT_EQ(to_hex({}), "");
  EXPECT_EQ(to_hex(Bytes{0x00, 0x0F, 0xA5, 0xFF}), "000fa5ff");
}

TEST(FromHex, ReadsBothCasesAndThePrefix) {
  EXPECT_EQ(from_hex("0x00aB").value(), (Bytes{0x00, 0xAB}));
  EXPECT_EQ(from_hex("").value(), Bytes{});
}

TEST(FromHex, RefusesOddLengthAndOtherCharacters) {
  EXPECT_EQ(from_hex("abc").error().message, "hexadecimal text of odd length");
  EXPECT_EQ(from_hex("0x0").error().code, ErrorCode::kInvalidArgument);
  EXPECT_EQ(from_hex("0g").error().message, "no hexadecimal digit at character 1");
  EXPECT_EQ(from_hex("0x12 4").error().message, "no hexadecimal digit at character 4");
}

TEST(FromHex, UndoesToHexForEveryByte) {
  Bytes all;
  for (int i = 0; i < 256; ++i) all.push_back(static_cast<std::uint8_t>(i));
  EXPECT_EQ(from_hex(to_hex(all)).value(), all);
}

TEST(AppendLe, WritesTheLeastSignificantByteFirst) {
  Bytes out;
  append_le(out, std::uint32_t{0x01020304});
  append_le(out, std::uint16_t{0xA0B0});
  EXPECT_EQ(out, (Bytes{4, 3, 2, 1, 0xB0, 0xA0}));
  EXPECT_EQ(load_le<std::uint32_t>(out.data()), 0x01020304U);
  EXPECT_EQ(load_le<std::uint16_t>(out.data() + 1), 0x0203);  // At an odd address.
}

TEST(AsText, ShowsTheSameBytes) {
  EXPECT_EQ(as_text(as_bytes("a\0b")), std::string_view("a\0b"));
  EXPECT_EQ(as_bytes("ab").size(), 2U);
}

}  // namespace
}  // namespace lockstep
