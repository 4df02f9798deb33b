#include <gtest/gtest.h>

#include <cstdio>
#include <cstdlib>
#include <map>
#include <set>
#include <string>

#include "tests/simulation/planted_bugs.h"
#include "tests/simulation/world.h"

namespace lockstep::simulation {
namespace {

// `make test` runs 5,000 seeds and 10^7 events in all, `make test-long` ten times as many.
constexpr std::uint64_t kShards = 4;
constexpr std::uint64_t kSeeds = 5'000 / kShards;
constexpr std::uint64_t kEvents = 10'000'000 / kShards;

class SimulationRunWorld : public testing::TestWithParam<std::uint64_t> {};

TEST_P(SimulationRunWorld, LosesDoublesAndForgetsNothing) {
  const std::uint64_t times = std::getenv("LOCKSTEP_LONG") != nullptr ? 10 : 1;
  Report sum;
  std::uint64_t seeds = 0;
  for (; seeds < times * kSeeds || sum.num_events < times * kEvents; ++seeds) {
    const Report report = run_world(seeds * kShards + GetParam());
    ASSERT_TRUE(report.wrong.empty()) << report.text();
    sum.add(report);
  }
  std::printf("seeds=%llu %s\n", static_cast<unsigned long long>(seeds), sum.totals().c_str());
  EXPECT_GT(sum.num_accepted, seeds);
  EXPECT_GT(sum.counts.moved, seeds);
  EXPECT_GT(sum.num_preemptions, seeds);
  EXPECT_GT(sum.num_prefix_hits, seeds);
}

INSTANTIATE_TEST_SUITE_P(Shard, SimulationRunWorld, testing::Range<std::uint64_t>(1, kShards + 1));

TEST(SimulationTrace, IsTheSameForTheSameSeedAndAnotherForEachOther) {
  std::set<std::uint64_t> hashes;
  for (std::uint64_t seed = 1; seed <= 100; ++seed) {
    const std::uint64_t hash = run_world(seed).trace_hash;
    EXPECT_EQ(run_world(seed).trace_hash, hash) << "seed " << seed;
    hashes.insert(hash);
  }
  EXPECT_EQ(hashes.size(), 100U);
}

TEST(SimulationTrace, ChangesWithAnyMessageThatDoesNotArrive) {
  const Report whole = run_world(7);
  ASSERT_GT(whole.num_delivered, 100U);
  for (std::uint64_t n = 1; n <= whole.num_delivered; ++n) {
    const Report report = run_world(7, {.drop_delivery = n});
    EXPECT_NE(report.trace_hash, whole.trace_hash) << "message " << n;
    EXPECT_EQ(report.text(), "");
  }
}

class SimulationPlantedBug : public testing::TestWithParam<std::size_t> {};

TEST_P(SimulationPlantedBug, IsFoundByTheChecker) {
  constexpr std::uint64_t kMostSeeds = 2'000;
  planted_bug = static_cast<int>(GetParam()) + 1;
  std::uint64_t seed = 1;
  while (seed <= kMostSeeds && run_world(seed).wrong.empty()) ++seed;
  planted_bug = 0;
  RecordProperty("seeds", static_cast<int>(seed));
  ASSERT_LE(seed, kMostSeeds) << "the checker sees nothing wrong";
  EXPECT_EQ(run_world(seed).text(), "");  // It is the bug that it saw.
}

INSTANTIATE_TEST_SUITE_P(, SimulationPlantedBug,
                         testing::Range<std::size_t>(0, planted_bugs().size()),
                         [](const auto& bug) {
                           std::string name = planted_bugs()[bug.param];
                           name[name.find('.')] = '_';
                           return name;
                         });

TEST(SimulationPlantedBugs, AreThirtyAndThreeOfEachKind) {
  std::map<std::string, int> counts;
  for (const std::string& name : planted_bugs()) ++counts[name.substr(0, name.find('.'))];
  EXPECT_GE(planted_bugs().size(), 30U);
  for (const char* kind :
       {"fence", "lease", "checkpoint", "block_pool", "prefix_cache", "fairness", "cancel"}) {
    EXPECT_GE(counts[kind], 3) << kind;
  }
}

}  // namespace
}  // namespace lockstep::simulation
