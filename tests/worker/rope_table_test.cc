// The golden values come from 400-bit arithmetic (Python's mpmath) and the hash from NumPy's long
// double, without code of this project.
#include "worker/rope_table.h"

#include <gtest/gtest.h>

#include "base/digest.h"

namespace lockstep {
namespace {

// SmolLM2: 64 rotary dimensions, base 1e5, no factors; f_i correctly rounded.
RopeTable smollm2() {
  return RopeTable(
      {0x1.0000000000000p+0,  0x1.654a0ce83e4cbp-1,  0x1.f2a79d6b34ac7p-2,  0x1.5bf9fe0f1f09bp-2,
       0x1.e5a84719edcd2p-3,  0x1.52e813241811dp-3,  0x1.d8ffaadd33b09p-4,  0x1.4a12ad8379eb8p-4,
       0x1.ccab8602d2697p-5,  0x1.4178395851097p-5,  0x1.c0a9a4ee02692p-6,  0x1.39172d544868bp-6,
       0x1.b4f7e2b2c2a95p-7,  0x1.30ee0a696d5f9p-7,  0x1.a99428b3d26b3p-8,  0x1.28fb5b85c8148p-8,
       0x1.9e7c6e43390b7p-9,  0x1.213db550bc646p-9,  0x1.93aeb8454ade2p-10, 0x1.19b3b5ea27537p-10,
       0x1.892918d61a787p-11, 0x1.125c04ab2d71fp-11, 0x1.7ee9aef1463bbp-12, 0x1.0b3551e8aeec5p-12,
       0x1.74eea61c12623p-13, 0x1.043e56b75648dp-13, 0x1.6b363611c036bp-14, 0x1.faeba9626e3b9p-15,
       0x1.61bea2721385fp-15, 0x1.edb52b79e4aa2p-16, 0x1.58863a71f7be2p-16, 0x1.e0d6d7acaba7bp-17});
}

TEST(RopeTable, HasTheCorrectlyRoundedValues) {
  struct Golden {
    std::uint32_t position;
    int index;
    float cosine;
    float sine;
  };
  constexpr Golden kGoldens[] = {
      {0, 0, 0x1p+0F, 0x0p+0F},
      {1, 0, 0x1.14a28p-1F, 0x1.aed548p-1F},
      {1, 1, 0x1.885058p-1F, 0x1.48fd38p-1F},
      {1, 31, 0x1p+0F, 0x1.e0d6d8p-17F},
      {2, 0, -0x1.aa2266p-2F, 0x1.d18f6ep-1F},
      {1000, 1, 0x1.d82d16p-1F, 0x1.8bf2aep-2F},
      {1000, 31, 0x1.fff28ap-1F, 0x1.d58db2p-7F},
      {8191, 0, -0x1.4af3b2p-1F, -0x1.86a8d4p-1F},
      {8191, 1, -0x1.91e184p-3F, -0x1.f60baap-1F},
      {8191, 31, 0x1.fc7a1cp-1F, 0x1.dfad62p-4F},
  };
  RopeTable table = smollm2();
  ASSERT_EQ(table.half(), 32);
  table.grow(8192);
  for (const Golden& golden : kGoldens) {
    EXPECT_EQ(table.cosines(golden.position)[golden.index], golden.cosine)
        << golden.position << ", " << golden.index;
    EXPECT_EQ(table.sines(golden.position)[golden.index], golden.sine)
        << golden.position << ", " << golden.index;
  }
}

TEST(RopeTable, HasTheGoldenHash) {
  RopeTable table = smollm2();
  table.grow(8192);
  Sha256 hash;
  for (std::uint32_t position = 0; position < 8192; ++position) {
    for (const float* values : {table.cosines(position), table.sines(position)}) {
      hash.update(ByteView(reinterpret_cast<const std::uint8_t*>(values), 32 * sizeof(float)));
    }
  }
  EXPECT_EQ(hash.finish().hex(),
            "931c87b8e5f0ace8af163ed44ebb89a9c1534be753938c79bc49d87917d70473");
}

TEST(RopeTableGrow, DoesNotChangeValues) {
  RopeTable at_once = smollm2();
  at_once.grow(300);
  RopeTable by_steps = smollm2();
  for (const std::uint32_t count : {1U, 2U, 17U, 5U, 300U, 300U}) by_steps.grow(count);
  for (std::uint32_t position = 0; position < 300; ++position) {
    for (int i = 0; i < 32; ++i) {
      ASSERT_EQ(by_steps.cosines(position)[i], at_once.cosines(position)[i]);
      ASSERT_EQ(by_steps.sines(position)[i], at_once.sines(position)[i]);
    }
  }
}

TEST(RopeTable, MayHaveNoRotaryDimensions) {
  RopeTable table({});
  table.grow(100);
  EXPECT_EQ(table.half(), 0);
}

}  // namespace
}  // namespace lockstep
