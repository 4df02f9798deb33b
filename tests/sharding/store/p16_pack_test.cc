#include "sharding/store/p16_pack.h"

#include <gtest/gtest.h>

#include <random>

#include "sharding/gguf/float_row.h"

namespace lockstep {
namespace {

constexpr int kGroups = 3;

// One element as the layout's description reads: scale bits, minimum bits and code of (row, k) in a
// panel.
struct Element {
  int scale = 0;
  int minimum = 0;
  int code = 0;

  bool operator==(const Element&) const = default;
};

Element packed_element(WeightFormat format, const Bytes& panel, int row, int k) {
  const std::size_t group_bytes = format == WeightFormat::kQ4_0   ? 32 + 256
                                  : format == WeightFormat::kQ4_1 ? 64 + 256
                                                                  : 32 + 512;
  const std::uint8_t* group = panel.data() + static_cast<std::size_t>(k / 32) * group_bytes;
  const auto half = [&](int at) { return group[at] | group[at + 1] << 8; };
  const int in_group = k % 32;
  Element out{half(2 * row), 0, 0};
  if (format == WeightFormat::kQ4_1) out.minimum = half(32 + 2 * row);
  const std::uint8_t* codes = group + (format == WeightFormat::kQ4_1 ? 64 : 32);
  if (format == WeightFormat::kQ8_0) {
    const int j = in_group / 4;
    out.code = codes[64 * j + 4 * row + in_group % 4] - 128;
    return out;
  }
  const int j = in_group % 16 / 4;
  const std::uint8_t byte = codes[64 * j + 4 * row + in_group % 4];
  out.code = in_group < 16 ? byte & 15 : byte >> 4;
  if (format == WeightFormat::kQ4_0) out.code -= 8;
  return out;
}

// The same of a row of GGUF blocks, as that format describes itself.
Element block_element(WeightFormat format, const Bytes& row, int k) {
  const std::size_t bytes = format == WeightFormat::kQ4_0   ? 18
                            : format == WeightFormat::kQ4_1 ? 20
                                                            : 34;
  const std::uint8_t* block = row.data() + static_cast<std::size_t>(k / 32) * bytes;
  Element out{block[0] | block[1] << 8, 0, 0};
  const int i = k % 32;
  if (format == WeightFormat::kQ8_0) {
    out.code = static_cast<std::int8_t>(block[2 + i]);
    return out;
  }
  const std::uint8_t* codes = block + 2;
  if (format == WeightFormat::kQ4_1) {
    out.minimum = block[2] | block[3] << 8;
    codes += 2;
  }
  out.code = i < 16 ? codes[i] & 15 : codes[i - 16] >> 4;
  if (format == WeightFormat::kQ4_0) out.code -= 8;
  return out;
}

class P16Pack : public testing::TestWithParam<WeightFormat> {
 protected:
  void SetUp() override {
    std::mt19937_64 random(7);
    for (std::size_t i = 0; i < 13; ++i) {  // The last three rows of the panel only pad.
      blocks_[i].resize(kGroups * block_bytes(GetParam()));
      for (auto& byte : blocks_[i]) byte = static_cast<std::uint8_t>(random());
      rows_[i] = blocks_[i];
    }
    panel_.resize(p16_bytes(GetParam(), 13, 32 * kGroups));
    pack_panel(GetParam(), rows_, kGroups, panel_);
  }

  std::array<Bytes, kPanelRows> blocks_;
  PanelRows rows_;
  Bytes panel_;
};

TEST_P(P16Pack, KeepsEveryElement) {
  for (int row = 0; row < 13; ++row) {
    for (int k = 0; k < 32 * kGroups; ++k) {
      EXPECT_EQ(packed_element(GetParam(), panel_, row, k),
                block_element(GetParam(), blocks_[static_cast<std::size_t>(row)], k));
    }
  }
}

TEST_P(P16Pack, PadsWithZeros) {
  for (int row = 13; row < kPanelRows; ++row) {
    EXPECT_TRUE(is_padding_row(GetParam(), panel_, row));
    for (int k = 0; k < 32 * kGroups; ++k) {
      EXPECT_EQ(packed_element(GetParam(), panel_, row, k), Element{});
    }
  }
  EXPECT_FALSE(is_padding_row(GetParam(), panel_, 12));
}

TEST_P(P16Pack, UnpacksTheSameBytes) {
  for (int row = 0; row < 13; ++row) {
    Bytes back(kGroups * block_bytes(GetParam()));
    unpack_row(GetParam(), panel_, row, back);
    EXPECT_EQ(back, blocks_[static_cast<std::size_t>(row)]);
  }
}

INSTANTIATE_TEST_SUITE_P(Formats, P16Pack,
                         testing::Values(WeightFormat::kQ4_0, WeightFormat::kQ4_1,
                                         WeightFormat::kQ8_0));

}  // namespace
}  // namespace lockstep
