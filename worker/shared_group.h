// Collectives over one piece of memory that all ranks of a node see: threads of a process, or
// processes that map the same region. Each rank has a slot; long data moves in rounds. Waiting
// spins or gives way for a while (base/spin_wait.h), then sleeps on a futex, so that more ranks
// than cores do not starve each other.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>

#include "worker/communicator.h"

namespace lockstep {

// The region's layout: a header, then one slot of `kSlotBytes` per rank, then one more for results,
// then two small slots per rank. Folds of a few outputs take the small ones in turn, and one
// barrier each: who comes to the next fold's has read this one's, and none writes its slot before.
class SharedGroup {
 public:
  static constexpr std::size_t kSlotBytes = std::size_t{4} << 20;
  static constexpr std::size_t kSmallSlotBytes = std::size_t{256} << 10;

  // Bytes of a region for this many ranks.
  static std::size_t region_bytes(int world_size);
  // Prepares a zeroed region; once, before any rank uses it.
  static void initialize(void* region);

  // `owner` keeps the region alive. Requires: region is 64-byte aligned and zeroed by initialize().
  SharedGroup(void* region, int rank, int world_size, std::shared_ptr<void> owner);

  // Every rank has its processors to itself: waiting may spin for longer.
  void set_exclusive(bool exclusive) { exclusive_ = exclusive; }

  int rank() const { return rank_; }
  int world_size() const { return world_size_; }

  Status fold_segments(const SegmentFold& fold);
  Status gather(std::span<const float> mine, std::span<const std::size_t> counts,
                std::span<float> all, int root);
  Status broadcast(Bytes& bytes);
  void abort();

 private:
  struct Header;
  Status barrier();
  Status fold_few(const SegmentFold& fold);
  Status fold_round(const SegmentFold& fold, std::size_t begin, std::size_t count);
  std::uint8_t* slot(int rank) const;
  std::uint8_t* small_slot(int rank) const;
  Header* header() const { return static_cast<Header*>(region_); }

  void* region_;
  int rank_;
  int world_size_;
  bool exclusive_ = false;
  std::size_t small_turn_ = 0;  // Which of the small slots the next fold takes.
  std::shared_ptr<void> owner_;
};

}  // namespace lockstep
