#include "worker/communicator.h"

#include <gtest/gtest.h>

#include <atomic>
#include <bit>
#include <chrono>
#include <functional>
#include <numeric>
#include <thread>

namespace lockstep {
namespace {

using Ranks = std::vector<std::unique_ptr<Communicator>>;

constexpr std::size_t kSlotFloats = std::size_t{1} << 20;  // What a local rank sends in one round.

// Runs the body on every rank of a local group, each on its own thread.
void on_ranks(Ranks& group, const std::function<void(Communicator&)>& body) {
  std::vector<std::thread> threads;
  for (auto& rank : group) threads.emplace_back([&] { body(*rank); });
  for (std::thread& thread : threads) thread.join();
}

void on_ranks(int world_size, const std::function<void(Communicator&)>& body) {
  Ranks group = make_local_group(world_size);
  on_ranks(group, body);
}

// A number whose sums depend on their order: 24 random bits and a random exponent. A pure function
// of the seed.
float sample(std::uint64_t seed) {
  seed = (seed + 1) * 0x9E3779B97F4A7C15U;
  seed ^= seed >> 29;
  seed *= 0xBF58476D1CE4E5B9U;
  seed ^= seed >> 32;
  const auto sign = static_cast<std::uint32_t>(seed) & 0x80000000U;
  const auto exponent = static_cast<std::uint32_t>(117 + (seed >> 40) % 20) << 23;
  return std::bit_cast<float>(sign | exponent | (static_cast<std::uint32_t>(seed) & 0x7FFFFFU));
}

float segment_sum(int segment, std::size_t i) {
  return sample(static_cast<std::uint64_t>(segment) * 1000003 + i);
}

std::vector<float> left_fold(int segments, std::size_t count) {
  std::vector<float> out(count);
  for (std::size_t i = 0; i < count; ++i) {
    out[i] = segment_sum(0, i);
    for (int s = 1; s < segments; ++s) out[i] = out[i] + segment_sum(s, i);
  }
  return out;
}

void expect_bits(std::span<const float> got, std::span<const float> wanted,
                 const std::string& what) {
  ASSERT_EQ(got.size(), wanted.size()) << what;
  if (got.empty() || std::memcmp(got.data(), wanted.data(), got.size_bytes()) == 0) return;
  for (std::size_t i = 0; i < got.size(); ++i) {
    ASSERT_EQ(std::bit_cast<std::uint32_t>(got[i]), std::bit_cast<std::uint32_t>(wanted[i]))
        << what << ", output " << i;
  }
}

// Folds twice in a row, so that the second use of the slots is seen too.
void expect_left_fold(const std::vector<int>& segments_of_rank, std::size_t count) {
  const int segments = std::accumulate(segments_of_rank.begin(), segments_of_rank.end(), 0);
  const std::vector<float> wanted = left_fold(segments, count);
  on_ranks(static_cast<int>(segments_of_rank.size()), [&](Communicator& rank) {
    const auto self = segments_of_rank.begin() + rank.rank();
    const int first = std::accumulate(segments_of_rank.begin(), self, 0);
    std::vector<float> sums;
    for (int s = first; s < first + *self; ++s) {
      for (std::size_t i = 0; i < count; ++i) sums.push_back(segment_sum(s, i));
    }
    for (int round = 0; round < 2; ++round) {
      std::vector<float> folded(count, -1.0F);
      const Status status =
          rank.fold_segments({sums.data(), segments_of_rank, count, folded.data()});
      ASSERT_TRUE(status.ok()) << status.error().message;
      expect_bits(folded, wanted,
                  std::to_string(segments_of_rank.size()) + " ranks, rank " +
                      std::to_string(rank.rank()) + ", count " + std::to_string(count));
    }
  });
}

TEST(CommunicatorFoldSegments, IsTheLeftFoldForEveryWorldSize) {
  for (int world_size = 1; world_size <= 9; ++world_size) {
    for (const std::size_t count : {1, 15, 4096, 4097}) {
      expect_left_fold(std::vector<int>(static_cast<std::size_t>(world_size), 1), count);
    }
  }
}

TEST(CommunicatorFoldSegments, IsTheLeftFoldOfUnevenRuns) {
  for (const std::vector<int>& runs :
       std::vector<std::vector<int>>{{9}, {2, 1}, {1, 7, 1}, {3, 1, 1, 4}}) {
    for (const std::size_t count : {std::size_t{15}, std::size_t{5003}}) {
      expect_left_fold(runs, count);
    }
  }
}

TEST(CommunicatorFoldSegments, GoesBeyondASlot) {
  expect_left_fold({1, 1}, kSlotFloats + 17);
  expect_left_fold({3, 1}, kSlotFloats / 3 + 17);  // The widest run bounds a round.
}

// Small and large folds and gathers in random order, each with other numbers, by ranks that are
// slow at random: nobody's slot is written while somebody still reads it.
TEST(CommunicatorFoldSegments, KeepsOneApartFromTheNext) {
  constexpr int kRanks = 4;
  constexpr std::uint64_t kRounds = 400;
  on_ranks(kRanks, [&](Communicator& rank) {
    const std::vector<int> segments_of_rank(kRanks, 1);
    for (std::uint64_t round = 0; round < kRounds; ++round) {
      const auto value = [&](int of, std::size_t i) { return sample(round * 977 + 31 * i + of); };
      if (sample(round * 4 + static_cast<std::uint64_t>(rank.rank())) > 0) {
        std::this_thread::sleep_for(std::chrono::microseconds(100));
      }
      const bool is_fold = round % 7 != 3;
      const std::size_t count = round % 5 == 4 ? 5000 : 1 + round % 40;
      std::vector<float> mine(count);
      for (std::size_t i = 0; i < count; ++i) mine[i] = value(rank.rank(), i);
      std::vector<float> got(is_fold ? count : kRanks * count);
      std::vector<float> wanted = got;
      for (std::size_t i = 0; i < count; ++i) {
        if (is_fold) wanted[i] = ((value(0, i) + value(1, i)) + value(2, i)) + value(3, i);
        for (int r = 0; r < kRanks && !is_fold; ++r) {
          wanted[static_cast<std::size_t>(r) * count + i] = value(r, i);
        }
      }
      const std::vector<std::size_t> counts(kRanks, count);
      const Status status =
          is_fold ? rank.fold_segments({mine.data(), segments_of_rank, count, got.data()})
                  : rank.gather(mine, counts, got, kAllRanks);
      ASSERT_TRUE(status.ok()) << status.error().message;
      expect_bits(got, wanted, "round " + std::to_string(round));
    }
  });
}

TEST(CommunicatorFoldSegments, TakesNoOutputs) { expect_left_fold({1, 1}, 0); }

// What rank r sends: `count` values of its own.
std::vector<float> message_of(int rank, std::size_t count) {
  std::vector<float> out(count);
  for (std::size_t i = 0; i < count; ++i) out[i] = segment_sum(rank, i);
  return out;
}

void expect_gather(const std::vector<std::size_t>& counts, int root) {
  std::vector<float> wanted;
  for (std::size_t r = 0; r < counts.size(); ++r) {
    const std::vector<float> part = message_of(static_cast<int>(r), counts[r]);
    wanted.insert(wanted.end(), part.begin(), part.end());
  }
  on_ranks(static_cast<int>(counts.size()), [&](Communicator& rank) {
    const auto mine = message_of(rank.rank(), counts[static_cast<std::size_t>(rank.rank())]);
    const bool receives = root == kAllRanks || root == rank.rank();
    std::vector<float> all(wanted.size(), -1.0F);
    const Status status = rank.gather(mine, counts, all, root);
    ASSERT_TRUE(status.ok()) << status.error().message;
    // Elsewhere nothing is touched.
    expect_bits(all, receives ? wanted : std::vector<float>(wanted.size(), -1.0F),
                "rank " + std::to_string(rank.rank()));
  });
}

TEST(CommunicatorGather, BringsDifferentCountsSideBySide) {
  for (const std::vector<std::size_t>& counts : std::vector<std::vector<std::size_t>>{
           {5}, {3, 0}, {0, 7, 1}, {0, 0}, {1, 2, 3, 4, 5, 0, 7, 8, 9}}) {
    expect_gather(counts, kAllRanks);
    for (std::size_t root = 0; root < counts.size(); ++root) {
      expect_gather(counts, static_cast<int>(root));
    }
  }
}

TEST(CommunicatorGather, GoesBeyondASlot) {
  expect_gather({kSlotFloats + 3, 1}, kAllRanks);
  expect_gather({0, 2 * kSlotFloats + 1}, 0);
}

TEST(CommunicatorGather, MovesBitsThatAreNoNumbers) {
  on_ranks(2, [&](Communicator& rank) {
    const std::vector<float> mine = {std::bit_cast<float>(0x7F800001U), std::bit_cast<float>(1U)};
    const std::vector<std::size_t> counts = {2, 2};
    std::vector<float> all(4);
    ASSERT_TRUE(rank.gather(mine, counts, all, kAllRanks).ok());
    EXPECT_EQ(std::bit_cast<std::uint32_t>(all[2]), 0x7F800001U);
    EXPECT_EQ(std::bit_cast<std::uint32_t>(all[3]), 1U);
  });
}

TEST(CommunicatorBroadcast, GivesTheBytesOfRank0) {
  constexpr std::size_t kSlot = 4 * kSlotFloats;
  for (const std::size_t size :
       {std::size_t{0}, std::size_t{1}, std::size_t{1000}, kSlot - 8, kSlot - 7, kSlot + 12345}) {
    Bytes sent(size);
    for (std::size_t i = 0; i < size; ++i) sent[i] = static_cast<std::uint8_t>(i * 31 / 7);
    on_ranks(3, [&](Communicator& rank) {
      Bytes bytes = rank.rank() == 0 ? sent : Bytes(77, 0xEE);
      ASSERT_TRUE(rank.broadcast(bytes).ok());
      EXPECT_TRUE(bytes == sent) << "rank " << rank.rank() << ", " << size << " bytes";
    });
  }
}

TEST(CommunicatorBroadcast, IsReadBeforeTheNextOneIsSent) {
  on_ranks(4, [&](Communicator& rank) {
    for (std::uint32_t i = 0; i < 300; ++i) {
      Bytes bytes;
      if (rank.rank() == 0) append_le(bytes, i);
      ASSERT_TRUE(rank.broadcast(bytes).ok());
      ASSERT_EQ(bytes.size(), 4U);
      ASSERT_EQ(load_le<std::uint32_t>(bytes.data()), i);
    }
  });
}

TEST(Agree, SucceedsWhenAllSucceed) {
  on_ranks(3, [&](Communicator& rank) { EXPECT_TRUE(agree(rank, {}).ok()); });
}

TEST(Agree, GivesAllTheErrorOfTheLowestRankThatFailed) {
  on_ranks(4, [&](Communicator& rank) {
    Status mine;
    if (rank.rank() == 2) mine = Error{ErrorCode::kCorrupt, "leaf 7 is bad"};
    if (rank.rank() == 3) mine = Error{ErrorCode::kIo, "no disk"};
    const Status got = agree(rank, mine);
    ASSERT_FALSE(got.ok());
    EXPECT_EQ(got.error().code, ErrorCode::kCorrupt);
    EXPECT_EQ(got.error().message, "rank 2: leaf 7 is bad");
  });
}

TEST(Agree, TakesMessagesOfAnyLength) {
  const std::string text(70'001, 'x');
  on_ranks(2, [&](Communicator& rank) {
    const Status mine = rank.rank() == 0 ? Status(Error{ErrorCode::kInvalidArgument, ""})
                                         : Status(Error{ErrorCode::kIo, text});
    EXPECT_EQ(agree(rank, mine).error().message, "rank 0: ");
    const Status second = agree(rank, rank.rank() == 0 ? Status() : mine);
    EXPECT_EQ(second.error().message, "rank 1: " + text);
    EXPECT_EQ(second.error().code, ErrorCode::kIo);
  });
}

TEST(CommunicatorAbort, WakesTheRanksThatWait) {
  Ranks group = make_local_group(3);
  std::atomic<int> unavailable{0};
  on_ranks(group, [&](Communicator& rank) {
    if (rank.rank() == 1) {
      std::this_thread::sleep_for(std::chrono::milliseconds(20));  // The others sleep by now.
      rank.abort("lost");
      Bytes bytes;
      EXPECT_EQ(rank.broadcast(bytes).error().code, ErrorCode::kUnavailable);
      return;
    }
    Bytes bytes;
    const Status status = rank.broadcast(bytes);
    ASSERT_FALSE(status.ok());
    if (status.error().code == ErrorCode::kUnavailable) ++unavailable;
  });
  EXPECT_EQ(unavailable, 2);
  // And whatever comes later.
  EXPECT_EQ(agree(*group[0], {}).error().code, ErrorCode::kUnavailable);
}

TEST(CommunicatorAbort, DoesNotUndoWhatHasSucceeded) {
  for (int i = 0; i < 30; ++i) {
    on_ranks(3, [&](Communicator& rank) {
      Bytes bytes;
      EXPECT_TRUE(rank.broadcast(bytes).ok());
      if (rank.rank() == 2) rank.abort("lost");  // The others may still be leaving the barrier.
    });
  }
}

}  // namespace
}  // namespace lockstep
