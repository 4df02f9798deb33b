// A run of zeroed memory that begins at a huge page and asks the system for huge pages: weights and
// caches are read from end to end for every token, and 4 KiB pages would cost a walk of the page
// tables each.
// Given back when the arena goes.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "base/result.h"

namespace lockstep {

inline constexpr std::size_t kHugePageBytes = 2 << 20;

class HugeArena {
 public:
  HugeArena() = default;
  HugeArena(HugeArena&& other) noexcept;
  HugeArena& operator=(HugeArena&& other) noexcept;
  ~HugeArena();

  // kOnTouch: the system need not have all of the memory yet; whoever touches what it does not have
  // is killed.
  enum class Commit { kAtOnce, kOnTouch };

  // At least `bytes` bytes, untouched. kExhausted when there is no address space. A system without
  // huge pages gives small ones.
  static Result<HugeArena> allocate(std::size_t bytes, Commit commit = Commit::kAtOnce);

  // Ensures: begins at a multiple of kHugePageBytes.
  std::span<std::uint8_t> bytes() const { return {data_, size_}; }

 private:
  std::uint8_t* data_ = nullptr;
  std::size_t size_ = 0;  // A multiple of kHugePageBytes.
};

}  // namespace lockstep
