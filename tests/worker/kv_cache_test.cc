#include "worker/kv_cache.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cstring>

namespace lockstep {
namespace {

TEST(KvCacheShapeBytes, CountsKeysValuesAndScales) {
  // 5 blocks of 16 tokens, 3 heads of 64 codes of 12 bits: 23040 bytes of keys, as many of values;
  // 240 scales each.
  EXPECT_EQ((KvCacheShape{1, 5, 3, 64, 16}.bytes().value()), 2U * (23040 + 960));
  EXPECT_EQ((KvCacheShape{7, 5, 3, 64, 16}.bytes().value()), 7U * 2 * (23040 + 960));
  EXPECT_EQ((KvCacheShape{1, 5, 3, 64, 8}.bytes().value()), 2U * (15360 + 960));
}

TEST(KvCacheShapeBytes, IsNothingWithoutBlocks) {
  EXPECT_EQ((KvCacheShape{2, 0, 3, 64, 16}.bytes().value()), 0U);
}

TEST(KvCacheShapeBytes, RefusesWhatDoesNotFit63Bits) {
  const auto bytes = KvCacheShape{1024, INT32_MAX, 4096, 512, 16}.bytes();
  ASSERT_FALSE(bytes.ok());
  EXPECT_EQ(bytes.error().code, ErrorCode::kExhausted);
}

TEST(KvCacheAllocate, GivesEveryLayerItsOwnAlignedMemory) {
  const KvCacheShape shape{3, 5, 1, 8, 8};
  const auto cache = KvCache::allocate(shape);
  ASSERT_TRUE(cache.ok());
  EXPECT_EQ(reinterpret_cast<std::uintptr_t>(cache.value().layer(0).keys) % kHugePageBytes, 0U);
  constexpr std::size_t kCodes = 5 * 16 * 8;
  constexpr std::size_t kScales = 5 * 16;
  // Every byte is written with a number of its own and read again behind all writes.
  for (int layer = 0; layer < 3; ++layer) {
    const kernels::KvCacheView view = cache.value().layer(layer);
    EXPECT_EQ(view.num_kv_heads, 1);
    EXPECT_EQ(view.head_size, 8);
    EXPECT_EQ(view.kv_bits, 8);
    for (void* start : {view.keys, view.values, static_cast<void*>(view.key_scales),
                        static_cast<void*>(view.value_scales)}) {
      EXPECT_EQ(reinterpret_cast<std::uintptr_t>(start) % 64, 0U);
    }
    std::memset(view.keys, 4 * layer + 1, kCodes);
    std::memset(view.values, 4 * layer + 2, kCodes);
    std::fill_n(view.key_scales, kScales, static_cast<float>(4 * layer + 3));
    std::fill_n(view.value_scales, kScales, static_cast<float>(4 * layer + 4));
  }
  for (int layer = 0; layer < 3; ++layer) {
    const kernels::KvCacheView view = cache.value().layer(layer);
    for (std::size_t i = 0; i < kCodes; ++i) {
      ASSERT_EQ(static_cast<std::uint8_t*>(view.keys)[i], 4 * layer + 1);
      ASSERT_EQ(static_cast<std::uint8_t*>(view.values)[i], 4 * layer + 2);
    }
    for (std::size_t i = 0; i < kScales; ++i) {
      ASSERT_EQ(view.key_scales[i], static_cast<float>(4 * layer + 3));
      ASSERT_EQ(view.value_scales[i], static_cast<float>(4 * layer + 4));
    }
  }
}

TEST(KvCacheAllocate, SaysWhatCouldNotBeHad) {
  const auto cache = KvCache::allocate({1, INT32_MAX, 1024, 512, 16});  // 64 PiB of addresses.
  ASSERT_FALSE(cache.ok());
  EXPECT_EQ(cache.error().code, ErrorCode::kExhausted);
  EXPECT_NE(cache.error().message.find("KV cache: no memory"), std::string::npos);
}

TEST(AvailableMemoryBytes, IsSomething) {
  EXPECT_GT(available_memory_bytes(), std::uint64_t{1} << 20);
  EXPECT_LT(available_memory_bytes(), UINT64_MAX);
}

}  // namespace
}  // namespace lockstep
