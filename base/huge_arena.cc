#include "base/huge_arena.h"

#include <sys/mman.h>

#include <algorithm>
#include <utility>

#include "base/checked.h"

namespace lockstep {

HugeArena::HugeArena(HugeArena&& other) noexcept
    : data_(std::exchange(other.data_, nullptr)), size_(std::exchange(other.size_, 0)) {}

HugeArena& HugeArena::operator=(HugeArena&& other) noexcept {
  std::swap(data_, other.data_);
  std::swap(size_, other.size_);
  return *this;
}

HugeArena::~HugeArena() {
  if (data_ != nullptr) ::munmap(data_, size_);
}

Result<HugeArena> HugeArena::allocate(std::size_t bytes, Commit commit) {
  if (bytes > SIZE_MAX / 2) return Error{ErrorCode::kExhausted, "no address space for an arena"};
  HugeArena arena;
  arena.size_ = round_up(std::max<std::size_t>(bytes, 1), kHugePageBytes);
  // One page too many, to cut off what lies outside the huge pages.
  const std::size_t mapped = arena.size_ + kHugePageBytes;
  const int reserve = commit == Commit::kOnTouch ? MAP_NORESERVE : 0;
  void* memory =
      ::mmap(nullptr, mapped, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | reserve, -1, 0);
  if (memory == MAP_FAILED) {
    arena.size_ = 0;
    return Error{ErrorCode::kExhausted,
                 "no memory for an arena of " + std::to_string(bytes) + " bytes"};
  }
  auto* first = static_cast<std::uint8_t*>(memory);
  const std::size_t past = reinterpret_cast<std::uintptr_t>(first) % kHugePageBytes;
  const std::size_t head = past == 0 ? 0 : kHugePageBytes - past;
  if (head > 0) ::munmap(first, head);
  ::munmap(first + head + arena.size_, kHugePageBytes - head);
  arena.data_ = first + head;
  ::madvise(arena.data_, arena.size_, MADV_HUGEPAGE);  // Best effort: small pages cost speed only.
  return arena;
}

}  // namespace lockstep
