// The emulated device itself: threads meet as CUDA says they do, and what it must report it does.
#include <gtest/gtest.h>

#include <cstring>
#include <set>
#include <vector>

#include "kernels/canonical_exp.h"
#include "kernels/cuda/emulator/fiber.h"
#include "kernels/cuda/numerics.h"
#include "tests/kernels/cuda/device_support.h"

namespace lockstep::cuda {
namespace {

void sum_kernel(std::uint32_t* sums) {
  wait_for_previous();
  DEVICE_SHARED(std::uint32_t, of_warps, 4);
  std::uint32_t sum = threadIdx.x;
  for (unsigned mask = 16; mask > 0; mask /= 2) sum += shuffle_xor(sum, mask);
  if (threadIdx.x % 32 == 0) of_warps[threadIdx.x / 32] = sum;
  __syncthreads();
  if (threadIdx.x == 0) sums[blockIdx.x] = of_warps[0] + of_warps[1] + of_warps[2] + of_warps[3];
}

TEST(Emulator, ThreadsMeetInWarpsAndBlocks) {
  for (std::uint64_t seed = 0; seed < 20; ++seed) {
    emulator::set_options({seed, 2});
    std::vector<std::uint32_t> sums(9);
    ASSERT_EQ(launch(sum_kernel, {{9}, {128}}, nullptr, sums.data()), Error::kNone);
    EXPECT_EQ(sums, std::vector<std::uint32_t>(9, 127 * 128 / 2)) << "seed " << seed;
  }
}

void ballot_kernel(std::uint32_t* ballots) {
  wait_for_previous();
  ballots[threadIdx.x] = ballot(threadIdx.x % 3 == 0);
}

TEST(Emulator, BallotHasABitPerLane) {
  std::vector<std::uint32_t> ballots(32);
  ASSERT_EQ(launch(ballot_kernel, {{1}, {32}}, nullptr, ballots.data()), Error::kNone);
  EXPECT_EQ(ballots, std::vector<std::uint32_t>(32, 0x49249249));
}

// Fragments are loaded as the PTX manual draws them, apart from how the emulator does it.
void mma_kernel(const std::uint8_t* a, const std::int8_t* b, std::int32_t* c) {
  wait_for_previous();
  const unsigned g = threadIdx.x / 4;
  const unsigned t = threadIdx.x % 4;
  const auto word = [](const void* bytes) {
    std::uint32_t loaded = 0;
    std::memcpy(&loaded, bytes, 4);
    return loaded;
  };
  const std::uint32_t fragment[4] = {word(a + g * 32 + 4 * t), word(a + (g + 8) * 32 + 4 * t),
                                     word(a + g * 32 + 16 + 4 * t),
                                     word(a + (g + 8) * 32 + 16 + 4 * t)};
  const std::uint32_t columns[2] = {word(b + g * 32 + 4 * t), word(b + g * 32 + 16 + 4 * t)};
  std::int32_t sums[4] = {1, 2, 3, 4};
  mma_u8_s8(sums, fragment, columns);
  c[g * 8 + 2 * t] = sums[0];
  c[g * 8 + 2 * t + 1] = sums[1];
  c[(g + 8) * 8 + 2 * t] = sums[2];
  c[(g + 8) * 8 + 2 * t + 1] = sums[3];
}

TEST(Emulator, MultipliesMatrices) {
  kernels::SplitMix random(1);
  std::vector<std::uint8_t> a(16 * 32);
  std::vector<std::int8_t> b(8 * 32);
  for (auto& v : a) v = static_cast<std::uint8_t>(random.next());
  for (auto& v : b) v = static_cast<std::int8_t>(random.next());
  std::vector<std::int32_t> c(16 * 8);
  ASSERT_EQ(launch(mma_kernel, {{1}, {32}}, nullptr, a.data(), b.data(), c.data()), Error::kNone);
  for (std::size_t row = 0; row < 16; ++row) {
    for (std::size_t column = 0; column < 8; ++column) {
      std::int32_t sum = static_cast<std::int32_t>(row / 8 * 2 + column % 2) + 1;
      for (std::size_t k = 0; k < 32; ++k) sum += a[row * 32 + k] * b[column * 32 + k];
      EXPECT_EQ(c[row * 8 + column], sum) << row << " " << column;
    }
  }
}

// Copies 16 bytes per thread; `group` says which copies are waited for.
void copy_kernel(const std::uint8_t* source, std::uint8_t* before, std::uint8_t* after) {
  wait_for_previous();
  std::uint8_t* shared = dynamic_shared() + threadIdx.x * 32;
  copy_async<16>(shared, source);
  commit_copies();
  copy_async<16>(shared + 16, source);
  commit_copies();
  before[threadIdx.x] = shared[0];
  wait_copies<1>();
  after[threadIdx.x] = shared[0];
  after[32 + threadIdx.x] = shared[16];
}

TEST(Emulator, CopiesAreRubbishUntilTheyAreWaitedFor) {
  const auto source = kernels::aligned_bytes(64);
  std::memset(source.get(), 42, 64);
  std::vector<std::uint8_t> before(32);
  std::vector<std::uint8_t> after(64);
  ASSERT_EQ(
      launch(copy_kernel, {{1}, {32}, 1024}, nullptr, source.get(), before.data(), after.data()),
      Error::kNone);
  EXPECT_NE(before[7], 42);
  EXPECT_EQ(after[7], 42);
  EXPECT_NE(after[32 + 7], 42);  // The newest group was not waited for.
}

void rubbish_kernel(std::uint32_t* seen) {
  wait_for_previous();
  DEVICE_SHARED(std::uint32_t, array, 1);
  if (threadIdx.x == 0) {
    seen[0] += array[0] == 5 || *reinterpret_cast<std::uint32_t*>(dynamic_shared()) == 5 ? 1 : 0;
    array[0] = 5;
    *reinterpret_cast<std::uint32_t*>(dynamic_shared()) = 5;
  }
}

TEST(Emulator, NoBlockFindsWhatAnotherLeftInSharedMemory) {
  emulator::set_options({1, 1});
  std::uint32_t seen = 0;
  ASSERT_EQ(launch(rubbish_kernel, {{8}, {32}, 64}, nullptr, &seen), Error::kNone);
  EXPECT_EQ(seen, 0U);
}

void early_return_kernel() {
  wait_for_previous();
  if (threadIdx.x == 37) return;
  __syncwarp();
}

TEST(Emulator, NamesWhoWaitsForWhomInADeadlock) {
  EXPECT_EQ(launch(early_return_kernel, {{1, 2}, {64}}, nullptr), Error::kLaunchFailure);
  const std::string failure = emulator::take_failure();
  EXPECT_NE(failure.find("deadlock: block (0, "), std::string::npos) << failure;
  EXPECT_NE(failure.find("warp 1 lane 0 waits in __syncwarp for block"), std::string::npos)
      << failure;
  EXPECT_NE(failure.find("warp 1 lane 5, which has returned"), std::string::npos) << failure;
}

void divergent_barrier_kernel() {
  wait_for_previous();
  if (threadIdx.x < 32) {
    __syncthreads();
  } else {
    (void)ballot(true);
  }
}

TEST(Emulator, ABarrierWaitsForAllWarps) {
  EXPECT_EQ(launch(divergent_barrier_kernel, {{1}, {64}}, nullptr), Error::kLaunchFailure);
  EXPECT_NE(emulator::take_failure().find("waits in __syncthreads"), std::string::npos);
}

void mixed_collectives_kernel() {
  wait_for_previous();
  if (threadIdx.x < 9) {
    __syncwarp();
  } else {
    (void)ballot(true);
  }
}

TEST(Emulator, LanesMeetInOnePlace) {
  EXPECT_EQ(launch(mixed_collectives_kernel, {{1}, {32}}, nullptr), Error::kLaunchFailure);
  EXPECT_NE(emulator::take_failure().find("of its warp is at"), std::string::npos);
}

void overrun_kernel() {
  wait_for_previous();
  dynamic_shared()[64 + threadIdx.x % 2] = 1;
}

TEST(Emulator, FindsWritesBehindSharedMemory) {
  EXPECT_EQ(launch(overrun_kernel, {{1}, {32}, 64}, nullptr), Error::kLaunchFailure);
  EXPECT_NE(emulator::take_failure().find("behind its dynamic shared memory"), std::string::npos);
}

void misaligned_kernel(const std::uint8_t* source) {
  wait_for_previous();
  copy_async<16>(dynamic_shared() + 8, source);
}

TEST(Emulator, FindsMisalignedCopies) {
  const auto source = kernels::aligned_bytes(64);
  EXPECT_EQ(launch(misaligned_kernel, {{1}, {32}, 64}, nullptr, source.get()),
            Error::kLaunchFailure);
  EXPECT_NE(emulator::take_failure().find("misaligned"), std::string::npos);
}

TEST(Emulator, RefusesShapesThatNoDeviceTakes) {
  const LaunchShape shapes[] = {{{1}, {1056}}, {{1}, {31}}, {{1}, {32}, 228 * 1024}, {{0}, {32}}};
  for (const LaunchShape& shape : shapes) {
    EXPECT_EQ(launch(early_return_kernel, shape, nullptr), Error::kInvalidConfiguration);
  }
}

void order_kernel(std::uint32_t* next, std::uint32_t* order) {
  wait_for_previous();
  order[next[0]++] = threadIdx.x;
}

TEST(Emulator, SeedsDecideTheOrder) {
  std::set<std::vector<std::uint32_t>> orders;
  for (std::uint64_t seed = 0; seed < 10; ++seed) {
    for (int repeat = 0; repeat < 2; ++repeat) {
      emulator::set_options({seed, 1});
      std::uint32_t next = 0;
      std::vector<std::uint32_t> order(96);
      ASSERT_EQ(launch(order_kernel, {{1}, {96}}, nullptr, &next, order.data()), Error::kNone);
      orders.insert(order);
    }
  }
  EXPECT_EQ(orders.size(), 10U);
}

TEST(DeviceNumerics, ExponentialEqualsTheCanonicalOne) {
  for (std::uint64_t bits = 0; bits < (std::uint64_t{1} << 32); bits += 4099) {
    const float x = bits_float(static_cast<std::uint32_t>(bits));
    if (x != x) continue;
    ASSERT_EQ(float_bits(canonical_exp(x)), float_bits(kernels::canonical_exp(x))) << x;
  }
}

TEST(DeviceNumerics, HalvesHaveTheirValues) {
  EXPECT_EQ(half_to_float(0x3C00), 1.0F);
  EXPECT_EQ(half_to_float(0xC500), -5.0F);
  EXPECT_EQ(half_to_float(0x0001), 0x1p-24F);
  EXPECT_EQ(half_to_float(0x83FF), -1023 * 0x1p-24F);
}

}  // namespace
}  // namespace lockstep::cuda
