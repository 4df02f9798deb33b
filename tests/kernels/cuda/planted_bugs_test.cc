// Every planted bug (planted_bugs.toml) is found by one of the checks that the kernels pass.
#include <gtest/gtest.h>

#include <algorithm>
#include <string>

#include "kernels/cuda/emulator/grid.h"
#include "tests/kernels/cuda/device_support.h"
#include "tests/simulation/planted_bugs.h"

namespace lockstep::cuda {
namespace {

using simulation::planted_bug;
using simulation::planted_bugs;

// The kernels whose bugs begin with `area`, on shapes with several segments, stages and blocks.
std::string check_area(const std::string& area, std::uint64_t seed) {
  if (area == "few" || area == "group") {
    const std::string long_segments = check_linear(
        linear_few, {WeightFormat::kQ4_0, 16, 37, 700, 5, 21}, LinearResult::kFold, seed);
    if (!long_segments.empty()) return long_segments;
    return check_linear(linear_few, {WeightFormat::kQ4_0, 16, 37, 700, 5, 5}, LinearResult::kFold,
                        seed);
  }
  if (area == "many") {
    return check_linear(linear_many, {WeightFormat::kQ4_0, 16, 37, 700, 5, 21}, LinearResult::kFold,
                        seed);
  }
  if (area == "quantize") return check_quantize(1, 600, 32, 16, true, seed);
  if (area == "argmax") return check_argmax(2, 300, seed);
  AttentionCase c;
  c.kv_bits = area == "prepare" ? 8 : 16;
  c.sequences = {{260, 12}};
  const std::string whole = check_attention(c, seed);
  if (!whole.empty() || area == "prepare") return whole;
  c.split = true;
  c.sequences = {{260, 1}};
  return check_attention(c, seed);
}

constexpr std::uint64_t kSeeds = 6;  // A bug shows in some schedules.

class PlantedBug : public testing::TestWithParam<std::size_t> {
 protected:
  void TearDown() override { planted_bug = 0; }
};

TEST_P(PlantedBug, IsFound) {
  const std::string& name = planted_bugs()[GetParam()];
  const std::string area = name.substr(0, name.find('.'));
  planted_bug = static_cast<int>(GetParam()) + 1;
  std::string found;
  for (std::uint64_t seed = 1; seed <= kSeeds && found.empty(); ++seed) {
    emulator::set_options({seed, 1});
    found = check_area(area, seed);
  }
  EXPECT_NE(found, "") << name << " was not found";
}

INSTANTIATE_TEST_SUITE_P(All, PlantedBug, testing::Range<std::size_t>(0, planted_bugs().size()),
                         [](const auto& bug) {
                           std::string name = planted_bugs()[bug.param];
                           std::replace(name.begin(), name.end(), '.', '_');
                           return name;
                         });

TEST(PlantedBugs, AreNotFoundWhereThereAreNone) {
  for (const char* area : {"few", "many", "quantize", "argmax", "prepare", "attention"}) {
    for (std::uint64_t seed = 1; seed <= kSeeds; ++seed) {
      emulator::set_options({seed, 1});
      EXPECT_EQ(check_area(area, seed), "") << area << " seed " << seed;
    }
  }
}

TEST(PlantedBugs, AreEnough) { EXPECT_GE(planted_bugs().size(), 20U); }

}  // namespace
}  // namespace lockstep::cuda
