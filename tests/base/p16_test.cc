#include "base/p16.h"

#include <gtest/gtest.h>

namespace lockstep {
namespace {

TEST(P16GroupBytes, AreScalesMinimumsAndCodesOfSixteenRows) {
  EXPECT_EQ(p16_group_bytes(WeightFormat::kQ4_0),
            16U * 18);  // As in GGUF: nothing is lost or added.
  EXPECT_EQ(p16_group_bytes(WeightFormat::kQ4_1), 16U * 20);
  EXPECT_EQ(p16_group_bytes(WeightFormat::kQ8_0), 16U * 34);
}

TEST(P16CodesOffset, IsBehindScalesAndMinimums) {
  EXPECT_EQ(p16_codes_offset(WeightFormat::kQ4_0), 32U);
  EXPECT_EQ(p16_codes_offset(WeightFormat::kQ4_1), 64U);
  EXPECT_EQ(p16_codes_offset(WeightFormat::kQ8_0), 32U);
}

TEST(P16Bytes, PadsRowsToPanelsAndKToGroups) {
  EXPECT_EQ(p16_bytes(WeightFormat::kQ4_0, 0, 32), 0U);
  EXPECT_EQ(p16_bytes(WeightFormat::kQ4_0, 1, 1), 288U);
  EXPECT_EQ(p16_bytes(WeightFormat::kQ4_0, 16, 32), 288U);
  EXPECT_EQ(p16_bytes(WeightFormat::kQ4_0, 17, 33), 4 * 288U);
}

TEST(WeightFormatFromName, UndoesWeightFormatName) {
  for (const WeightFormat format :
       {WeightFormat::kQ4_0, WeightFormat::kQ4_1, WeightFormat::kQ8_0, WeightFormat::kF32}) {
    EXPECT_EQ(weight_format_from_name(weight_format_name(format)), format);
  }
  EXPECT_EQ(weight_format_from_name("q5_k"), std::nullopt);
}

}  // namespace
}  // namespace lockstep
