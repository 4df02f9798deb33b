// One CUDA thread block on one thread of the host: a fiber per CUDA thread, in an order that a seed
// decides. A fiber runs until it meets the others of its warp (a collective) or of its block (a
// barrier), so what lies between two meetings happens in any order, and a missing one shows.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "kernels/cuda/emulator/fiber.h"

namespace lockstep::emulator {

inline constexpr int kWarpSize = 32;
inline constexpr int kMaxBlockThreads = 1024;
inline constexpr std::size_t kMaxSharedBytes = 227 * 1024;  // Of a block, compute capability 9.0.

struct Index3 {
  unsigned x = 0;
  unsigned y = 0;
  unsigned z = 0;
};

struct Extent3 {
  unsigned x = 1;
  unsigned y = 1;
  unsigned z = 1;
};

// What the threads of a block have in common.
struct BlockShape {
  Extent3 grid;
  Extent3 block;
  Index3 block_index;
  std::size_t shared_bytes = 0;
  std::uint64_t seed = 0;

  unsigned num_threads() const { return block.x * block.y * block.z; }
};

class Block;

// One CUDA thread.
class Lane {
 public:
  Index3 thread_index;
  const BlockShape* shape = nullptr;

  // Meets the other lanes of the warp, each with an argument of its own; the last one calls
  // `execute` with all 32, in order. Lanes that meet under different names end the launch.
  void meet_warp(const char* name, void* argument, void (*execute)(void* const* arguments));
  // Meets all threads of the block.
  void meet_block(const char* name);

  // cp.async: the destination is rubbish from now on, and the copy is done when it is waited for.
  void copy_async(void* shared, const void* global, std::size_t bytes);
  void commit_copies() { ++committed_; }
  void wait_copies(unsigned newest_left);

  // A lane that returns without it ends the launch.
  void wait_for_previous() { waited_ = true; }

  std::byte* dynamic_shared() const;
  // A __shared__ array: the same memory for every lane that names the same key.
  void* static_shared(const void* key, std::size_t bytes);

 private:
  friend class Block;
  enum class State : std::uint8_t { kRunnable, kInWarp, kInBlock, kReturned };
  struct Copy {
    std::byte* target;
    const std::byte* source;
    std::size_t bytes;
    unsigned group;
  };

  Block* block_ = nullptr;
  Fiber fiber_;
  unsigned index_ = 0;  // In the block.
  State state_ = State::kRunnable;
  const char* waits_for_ = "";
  void* argument_ = nullptr;
  std::vector<Copy> copies_;  // Not waited for yet, oldest first.
  unsigned committed_ = 0;    // Groups.
  bool waited_ = false;       // For the kernel before this one.
};

// The running lane of this thread. Requires: called within a kernel.
Lane& this_lane();

class Block {
 public:
  Block();
  ~Block();
  Block(const Block&) = delete;
  Block& operator=(const Block&) = delete;

  // Runs body(argument) on every thread of the block. Empty, or what went wrong: a deadlock, lanes
  // that meet in different places, a write behind shared memory, a misaligned copy.
  std::string run(const BlockShape& shape, void (*body)(const void*), const void* argument);

 private:
  friend class Lane;
  struct Warp {
    std::uint32_t runnable = 0;
    std::uint32_t arrived = 0;
  };
  struct SharedArray {
    const void* key;
    std::byte* memory;
    std::size_t bytes;
  };

  static void run_lane(void* lane);
  void prepare(const BlockShape& shape);
  std::uint64_t random();
  Lane* pick();
  void park(Lane& lane);
  void wake_warp(unsigned index);
  [[noreturn]] void fail(const Lane& lane, std::string what);
  std::string name_of(const Lane& lane) const;
  std::string deadlock() const;

  BlockShape shape_;
  void (*body_)(const void*) = nullptr;
  const void* body_argument_ = nullptr;
  std::vector<std::unique_ptr<Lane>> lanes_;
  std::vector<Warp> warps_;
  std::uint32_t runnable_warps_ = 0;
  unsigned warp_ = 0;        // The one that runs.
  unsigned in_barrier_ = 0;  // Threads.
  unsigned returned_ = 0;
  std::uint64_t random_state_ = 0;
  std::string failure_;
  Fiber scheduler_;  // The stack that called run().
  std::vector<std::uint64_t> shared_;
  std::vector<SharedArray> arrays_;
  std::size_t shared_used_ = 0;
};

}  // namespace lockstep::emulator
