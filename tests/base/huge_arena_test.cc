#include "base/huge_arena.h"

#include <gtest/gtest.h>

#include <fstream>
#include <string>

namespace lockstep {
namespace {

// The line "VmFlags: ..." of the mapping that holds `address`.
std::string flags_of_mapping(const void* address) {
  const auto wanted = reinterpret_cast<std::uintptr_t>(address);
  std::ifstream maps("/proc/self/smaps");
  bool inside = false;
  for (std::string line; std::getline(maps, line);) {
    const std::size_t dash = line.find('-');
    if (dash != std::string::npos && dash < line.find(' ')) {
      inside = std::stoull(line.substr(0, dash), nullptr, 16) <= wanted &&
               wanted < std::stoull(line.substr(dash + 1), nullptr, 16);
    }
    if (inside && line.starts_with("VmFlags:")) return line + " ";
  }
  return {};
}

TEST(HugeArenaAllocate, BeginsAtAHugePage) {
  for (const std::size_t size : {std::size_t{0}, std::size_t{1}, kHugePageBytes - 1, kHugePageBytes,
                                 kHugePageBytes + 1, 3 * kHugePageBytes}) {
    const auto arena = HugeArena::allocate(size);
    ASSERT_TRUE(arena.ok());
    const auto bytes = arena.value().bytes();
    EXPECT_EQ(reinterpret_cast<std::uintptr_t>(bytes.data()) % kHugePageBytes, 0u);
    EXPECT_GE(bytes.size(), size);
    bytes.front() = 1;
    bytes.back() = 1;
  }
}

TEST(HugeArenaAllocate, AdvisesHugePages) {
  if (!std::ifstream("/sys/kernel/mm/transparent_hugepage/enabled")) {
    GTEST_SKIP() << "this kernel has no transparent huge pages";
  }
  const auto arena = HugeArena::allocate(3 * kHugePageBytes);
  ASSERT_TRUE(arena.ok());
  for (const std::size_t at : {std::size_t{0}, arena.value().bytes().size() - 1}) {
    const std::string flags = flags_of_mapping(arena.value().bytes().data() + at);
    EXPECT_NE(flags.find(" hg "), std::string::npos) << flags;
  }
}

TEST(HugeArenaAllocate, RefusesWhatNoAddressSpaceHolds) {
  for (const std::size_t size : {SIZE_MAX, SIZE_MAX / 2, SIZE_MAX / 4}) {
    const auto arena = HugeArena::allocate(size);
    ASSERT_FALSE(arena.ok());
    EXPECT_EQ(arena.error().code, ErrorCode::kExhausted);
  }
}

TEST(HugeArena, MovesItsMemory) {
  auto first = HugeArena::allocate(1);
  ASSERT_TRUE(first.ok());
  std::uint8_t* data = first.value().bytes().data();
  HugeArena second = std::move(first).value();
  EXPECT_EQ(second.bytes().data(), data);
  HugeArena third;
  third = std::move(second);
  EXPECT_EQ(third.bytes().data(), data);
}

}  // namespace
}  // namespace lockstep
