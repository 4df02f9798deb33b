#include "sharding/gguf/rope_frequency.h"

#include <gtest/gtest.h>

#include <bit>
#include <limits>

namespace lockstep {
namespace {

// FNV-1a over the bits, a word at a time.
std::uint64_t hash_of(const std::vector<double>& values) {
  std::uint64_t hash = 0xcbf29ce484222325U;
  for (const double value : values) {
    hash = (hash ^ std::bit_cast<std::uint64_t>(value)) * 0x100000001b3U;
  }
  return hash;
}

// base^(-2i/d) with mpmath at 600 bits, rounded once to binary64.
struct Golden {
  double base;
  int dims;
  std::uint64_t hash;
  std::uint64_t last;
};
constexpr Golden kGoldens[] = {
    {10000.0, 64, 0x07d8d581ec41be3eU, 0x3f217a8e301c4436U},
    {100000.0, 64, 0x96663754c082eaa4U, 0x3eee0d6d7acaba7bU},
    {500000.0, 128, 0x076f62a8ff5f5c54U, 0x3ec4985fec80a8cbU},
    {1000000.0, 128, 0x116c4aed9fbe8c10U, 0x3eb4d1c97f4e952fU},
    {10000.0, 512, 0x7fd4add3cc1769fbU, 0x3f1b2cb9cf6bccd1U},
    {3.0, 256, 0x28fdbf70495889b3U, 0x3fd58468c0d7dea9U},
    {1000000000.0, 80, 0xe0f7d4c6b57e2aefU, 0x3e1cd77549a0e374U},
    {10000.0, 8, 0x836ab64b4335d550U, 0x3f50624dd2f1a9fcU},
};

TEST(RopeFrequencies, AreCorrectlyRounded) {
  for (const Golden& golden : kGoldens) {
    const auto frequencies = rope_frequencies(golden.base, golden.dims, {});
    ASSERT_TRUE(frequencies.ok());
    EXPECT_EQ(std::bit_cast<std::uint64_t>(frequencies.value().back()), golden.last) << golden.base;
    EXPECT_EQ(hash_of(frequencies.value()), golden.hash) << golden.base;
  }
}

TEST(RopeFrequencies, AreDividedByTheirFactorBeforeTheyAreRounded) {
  std::vector<float> factors(64, 1.0F);
  for (std::size_t i = 1; i < factors.size(); i += 2) factors[i] = 1.7F;
  const auto frequencies = rope_frequencies(500000.0, 128, factors);
  ASSERT_TRUE(frequencies.ok());
  EXPECT_EQ(hash_of(frequencies.value()), 0xf2b6d07c0ad25cb5U);
}

TEST(RopeFrequencies, RefuseWhatGivesNoFrequency) {
  for (const double base : {0.0, -1.0, 0.5, 1e31, std::numeric_limits<double>::infinity()}) {
    EXPECT_FALSE(rope_frequencies(base, 2, {}).ok()) << base;
  }
  for (const float factor : {0.0F, -1.0F, 1e-30F, std::numeric_limits<float>::infinity(),
                             std::numeric_limits<float>::quiet_NaN()}) {
    EXPECT_FALSE(rope_frequencies(10000, 2, std::vector<float>{factor}).ok()) << factor;
  }
}

}  // namespace
}  // namespace lockstep
