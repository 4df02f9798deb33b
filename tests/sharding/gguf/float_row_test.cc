#include "sharding/gguf/float_row.h"

#include <gtest/gtest.h>

#include <array>
#include <bit>
#include <cmath>
#include <limits>

#include "sharding/store/half.h"

namespace lockstep {
namespace {

template <typename T>
Bytes bytes_of(const std::vector<T>& values) {
  Bytes out;
  for (const T value : values) append_le(out, value);
  return out;
}

GgufTensor matrix(GgufTensorType type, std::int64_t rows, std::int64_t k, const Bytes& data) {
  return {"m", type, false, rows, k, data.size() / static_cast<std::uint64_t>(rows), data};
}

std::array<std::uint8_t, 34> quantized(const std::vector<float>& values) {
  std::array<std::uint8_t, 34> block{};
  EXPECT_TRUE(quantize_q8_0(values, block));
  return block;
}

std::uint16_t scale_of(const std::array<std::uint8_t, 34>& block) {
  return load_le<std::uint16_t>(block.data());
}

int code_of(const std::array<std::uint8_t, 34>& block, std::size_t i) {
  return static_cast<std::int8_t>(block[2 + i]);
}

TEST(HalfConversion, RoundTripsEveryFiniteNumber) {
  for (std::uint32_t bits = 0; bits < 0x10000; ++bits) {
    const auto half = static_cast<std::uint16_t>(bits);
    if (!half_is_finite(half)) continue;
    ASSERT_EQ(float_to_half(half_to_float(half)), half);
  }
}

TEST(HalfConversion, RoundsToNearestEven) {
  EXPECT_EQ(float_to_half(1.0F + 0x1p-11F), 0x3C00);      // A tie, to even.
  EXPECT_EQ(float_to_half(1.0F + 0x1.8p-10F), 0x3C02);    // A tie, to even.
  EXPECT_EQ(float_to_half(1.0F + 0x1.001p-11F), 0x3C01);  // Just above the tie.
  EXPECT_EQ(float_to_half(0x1p-25F), 0);                  // Half the smallest, to even.
  EXPECT_EQ(float_to_half(0x1.000002p-25F), 1);
  EXPECT_EQ(float_to_half(0x1.ffep-15F), 0x0400);  // The smallest normal, by rounding.
  EXPECT_EQ(float_to_half(65519.0F), 0x7BFF);
  EXPECT_EQ(float_to_half(65520.0F), 0x7C00);
  EXPECT_EQ(float_to_half(-2.0F), 0xC000);
}

TEST(FloatRowQuantize, ScalesTheLargestValueTo127) {
  const auto block = quantized({127.0F, -127.0F, 63.5F, 64.5F, 0.4F});
  EXPECT_EQ(scale_of(block), 0x3C00);
  EXPECT_EQ(code_of(block, 0), 127);
  EXPECT_EQ(code_of(block, 1), -127);
  EXPECT_EQ(code_of(block, 2), 64);  // Ties to even.
  EXPECT_EQ(code_of(block, 3), 64);
  EXPECT_EQ(code_of(block, 4), 0);
  EXPECT_EQ(code_of(block, 5), 0);  // Padding.
}

TEST(FloatRowQuantize, DividesByTheRoundedScaleAndClamps) {
  // a / 127 = 2^-24 * 1.49...: the scale rounds down to 2^-24, so the code would be 190.
  const auto block = quantized({127.0F * 0x1.7ep-24F, -127.0F * 0x1.7ep-24F, 0x1p-22F});
  EXPECT_EQ(scale_of(block), 1);
  EXPECT_EQ(code_of(block, 0), 127);
  EXPECT_EQ(code_of(block, 1), -127);
  EXPECT_EQ(code_of(block, 2), 4);
}

TEST(FloatRowQuantize, GivesZerosWhereTheScaleIsZero) {
  EXPECT_EQ(quantized({1e-12F, -1e-12F}), (std::array<std::uint8_t, 34>{}));
}

TEST(FloatRowQuantize, RefusesAnInfiniteScale) {
  std::array<std::uint8_t, 34> block{};
  EXPECT_TRUE(quantize_q8_0(std::vector<float>{127.0F * 65504.0F}, block));
  EXPECT_FALSE(quantize_q8_0(std::vector<float>{127.0F * 65530.0F}, block));
}

TEST(FloatRowBlocks, PadsTheLastGroupOfAnyLength) {
  std::vector<float> values(2 * 40, 1.0F);
  values[40 + 33] = -127.0F;
  const Bytes data = bytes_of(values);
  Bytes scratch;
  const ByteView blocks = row_blocks(matrix(GgufTensorType::kF32, 2, 40, data), 1, {0, 2}, scratch);
  ASSERT_EQ(blocks.size(), 68u);
  EXPECT_EQ(blocks[2], 127);  // 1 / binary16(1 / 127), clamped.
  EXPECT_EQ(load_le<std::uint16_t>(blocks.data() + 34), 0x3C00);
  EXPECT_EQ(static_cast<std::int8_t>(blocks[36 + 1]), -127);
  for (std::size_t i = 8; i < 32; ++i) EXPECT_EQ(blocks[36 + i], 0) << i;
}

TEST(FloatRowBlocks, AgreesForEveryFloatType) {
  // Values that binary16 and bfloat16 hold exactly.
  std::vector<float> f32(32);
  std::vector<std::uint16_t> f16(32);
  std::vector<std::uint16_t> bf16(32);
  for (std::size_t i = 0; i < 32; ++i) {
    f32[i] = static_cast<float>(static_cast<int>(i) - 16) * 0.125F;
    f16[i] = float_to_half(f32[i]);
    bf16[i] = static_cast<std::uint16_t>(std::bit_cast<std::uint32_t>(f32[i]) >> 16);
  }
  const Bytes data[] = {bytes_of(f32), bytes_of(f16), bytes_of(bf16)};
  const auto blocks = [&](GgufTensorType type, const Bytes& bytes) {
    Bytes scratch;
    const ByteView view = row_blocks(matrix(type, 1, 32, bytes), 0, {0, 1}, scratch);
    return Bytes(view.begin(), view.end());
  };
  EXPECT_EQ(blocks(GgufTensorType::kF16, data[1]), blocks(GgufTensorType::kF32, data[0]));
  EXPECT_EQ(blocks(GgufTensorType::kBf16, data[2]), blocks(GgufTensorType::kF32, data[0]));
}

TEST(FloatRowCheck, NamesTheRowOfANumberThatIsNotFinite) {
  std::vector<float> values(64, 1.0F);
  values[40] = std::numeric_limits<float>::quiet_NaN();
  const Bytes data = bytes_of(values);
  const GgufTensor tensor = matrix(GgufTensorType::kF32, 2, 32, data);
  EXPECT_TRUE(check_row(tensor, 0).ok());
  const Status status = check_row(tensor, 1);
  ASSERT_FALSE(status.ok());
  EXPECT_NE(status.error().message.find("tensor m: row 1"), std::string::npos);
}

TEST(FloatRowCheck, RefusesScalesAndMinimumsThatAreNotFinite) {
  const struct {
    GgufTensorType type;
    std::size_t bytes;
    std::size_t at;
    bool fails;
  } cases[] = {{GgufTensorType::kQ4_0, 18, 1, true},  {GgufTensorType::kQ4_1, 20, 1, true},
               {GgufTensorType::kQ4_1, 20, 3, true},  {GgufTensorType::kQ8_0, 34, 1, true},
               {GgufTensorType::kQ4_0, 18, 3, false}, {GgufTensorType::kQ8_0, 34, 3, false}};
  for (const auto& c : cases) {
    Bytes data(c.bytes);
    data[c.at] = 0x7C;
    EXPECT_EQ(check_row(matrix(c.type, 1, 32, data), 0).ok(), !c.fails);
  }
}

TEST(FloatRowCheck, RefusesValuesThatNoScaleHolds) {
  const Bytes data = bytes_of(std::vector<float>(32, 1e9F));
  EXPECT_FALSE(check_row(matrix(GgufTensorType::kF32, 1, 32, data), 0).ok());
}

}  // namespace
}  // namespace lockstep
