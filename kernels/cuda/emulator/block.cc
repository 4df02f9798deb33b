#include "kernels/cuda/emulator/block.h"

#include <bit>
#include <cstring>

#include "base/check.h"

namespace lockstep::emulator {
namespace {

constexpr std::uint8_t kRubbish = 0xB5;   // Shared memory when a block begins.
constexpr std::uint8_t kInFlight = 0xCD;  // What cp.async has not brought yet.
constexpr std::uint8_t kGuard = 0x9E;
constexpr std::size_t kGuardBytes = 64;  // Behind dynamic shared memory.
constexpr std::size_t kArrayBytes = 48 * 1024;

thread_local Lane* running_lane = nullptr;

}  // namespace

Lane& this_lane() { return *running_lane; }

void Lane::meet_warp(const char* name, void* argument, void (*execute)(void* const* arguments)) {
  const unsigned warp_index = index_ / kWarpSize;
  Block::Warp& warp = block_->warps_[warp_index];
  for (unsigned i = 0; warp.arrived != 0 && i < kWarpSize; ++i) {
    if ((warp.arrived >> i & 1) == 0) continue;
    const Lane& other = *block_->lanes_[warp_index * kWarpSize + i];
    if (std::strcmp(other.waits_for_, name) != 0) {
      block_->fail(*this, std::string("is at ") + name + ", but lane " + std::to_string(i) +
                              " of its warp is at " + other.waits_for_);
    }
    break;  // The others agree with this one.
  }
  argument_ = argument;
  waits_for_ = name;
  warp.arrived |= 1U << (index_ % kWarpSize);
  if (warp.arrived != 0xFFFFFFFF) {
    state_ = State::kInWarp;
    block_->park(*this);
    return;
  }
  void* arguments[kWarpSize];
  for (unsigned i = 0; i < kWarpSize; ++i) {
    arguments[i] = block_->lanes_[warp_index * kWarpSize + i]->argument_;
  }
  if (execute != nullptr) execute(arguments);
  block_->wake_warp(warp_index);
}

void Lane::meet_block(const char* name) {
  waits_for_ = name;
  if (++block_->in_barrier_ < block_->shape_.num_threads()) {
    state_ = State::kInBlock;
    block_->park(*this);
    return;
  }
  block_->in_barrier_ = 0;
  for (unsigned w = 0; w < block_->warps_.size(); ++w) block_->wake_warp(w);
}

void Lane::copy_async(void* shared, const void* global, std::size_t bytes) {
  const auto target = reinterpret_cast<std::uintptr_t>(shared);
  const auto begin = reinterpret_cast<std::uintptr_t>(dynamic_shared());
  if (target < begin || target + bytes > begin + shape->shared_bytes) {
    block_->fail(*this, "copies to outside of dynamic shared memory");
  }
  if (target % bytes != 0 || reinterpret_cast<std::uintptr_t>(global) % bytes != 0) {
    block_->fail(*this, "copies between misaligned addresses");
  }
  std::memset(shared, kInFlight, bytes);
  copies_.push_back(
      {static_cast<std::byte*>(shared), static_cast<const std::byte*>(global), bytes, committed_});
}

void Lane::wait_copies(unsigned newest_left) {
  std::size_t done = 0;
  while (done < copies_.size() && copies_[done].group + newest_left < committed_) {
    const Copy& copy = copies_[done++];
    std::memcpy(copy.target, copy.source, copy.bytes);
  }
  copies_.erase(copies_.begin(), copies_.begin() + static_cast<std::ptrdiff_t>(done));
}

std::byte* Lane::dynamic_shared() const {
  return reinterpret_cast<std::byte*>(block_->shared_.data());
}

void* Lane::static_shared(const void* key, std::size_t bytes) {
  for (const Block::SharedArray& array : block_->arrays_) {
    if (array.key == key) return array.memory;
  }
  const std::size_t size = (bytes + 15) / 16 * 16;
  if (block_->shared_used_ + size > kArrayBytes) {
    block_->fail(*this, "has more than 48 KiB of static shared memory");
  }
  std::byte* memory = dynamic_shared() + shape->shared_bytes + kGuardBytes + block_->shared_used_;
  block_->shared_used_ += size;
  block_->arrays_.push_back({key, memory, bytes});
  return memory;
}

Block::Block() = default;
Block::~Block() = default;

void Block::prepare(const BlockShape& shape) {
  shape_ = shape;
  const unsigned threads = shape.num_threads();
  while (lanes_.size() < threads) lanes_.push_back(std::make_unique<Lane>());
  for (unsigned i = 0; i < threads; ++i) {
    Lane& lane = *lanes_[i];
    lane.block_ = this;
    lane.shape = &shape_;
    lane.index_ = i;
    lane.thread_index = {i % shape.block.x, i / shape.block.x % shape.block.y,
                         i / shape.block.x / shape.block.y};
    lane.state_ = Lane::State::kRunnable;
    lane.waits_for_ = "";
    lane.copies_.clear();
    lane.committed_ = 0;
    lane.waited_ = false;
    lane.fiber_.prepare(run_lane, &lane);
  }
  warps_.assign(threads / kWarpSize, {0xFFFFFFFF, 0});
  runnable_warps_ = static_cast<std::uint32_t>((std::uint64_t{1} << warps_.size()) - 1);
  warp_ = 0;
  in_barrier_ = 0;
  returned_ = 0;
  failure_.clear();
  random_state_ = shape.seed;
  const std::size_t bytes = shape.shared_bytes + kGuardBytes + kArrayBytes;
  shared_.resize((bytes + 15) / 8);
  std::memset(shared_.data(), kRubbish, bytes);
  std::memset(reinterpret_cast<std::byte*>(shared_.data()) + shape.shared_bytes, kGuard,
              kGuardBytes);
  arrays_.clear();
  shared_used_ = 0;
}

std::string Block::run(const BlockShape& shape, void (*body)(const void*), const void* argument) {
  prepare(shape);
  body_ = body;
  body_argument_ = argument;
  if (Lane* lane = pick()) {
    running_lane = lane;
    lane->fiber_.switch_from(scheduler_);
  }
  if (failure_.empty() && returned_ != shape.num_threads()) failure_ = deadlock();
  const auto* guard = reinterpret_cast<const std::byte*>(shared_.data()) + shape.shared_bytes;
  for (std::size_t i = 0; i < kGuardBytes && failure_.empty(); ++i) {
    if (guard[i] == std::byte{kGuard}) continue;
    failure_ = "block (" + std::to_string(shape.block_index.x) + ", " +
               std::to_string(shape.block_index.y) + ", " + std::to_string(shape.block_index.z) +
               ") wrote behind its dynamic shared memory";
  }
  return failure_;
}

// The whole life of a lane's fiber.
void Block::run_lane(void* lane_pointer) {
  auto* lane = static_cast<Lane*>(lane_pointer);
  Block* block = lane->block_;
  block->body_(block->body_argument_);
  if (!lane->waited_) block->fail(*lane, "returns without having waited for the kernel before");
  lane->state_ = Lane::State::kReturned;
  ++block->returned_;
  block->park(*lane);
  CHECK(false, "a lane that returned ran again");
}

std::uint64_t Block::random() {  // SplitMix64.
  std::uint64_t z = random_state_ += 0x9E3779B97F4A7C15U;
  z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9U;
  z = (z ^ (z >> 27)) * 0x94D049BB133111EBU;
  return z ^ (z >> 31);
}

// Mostly another lane of the same warp; a warp may run far ahead of the others.
Lane* Block::pick() {
  if (runnable_warps_ == 0) return nullptr;
  const std::uint64_t dice = random();
  const auto rotated = [](std::uint32_t mask, unsigned by) {
    const unsigned start = by % 32;
    return (static_cast<unsigned>(std::countr_zero(std::rotr(mask, static_cast<int>(start)))) +
            start) %
           32;
  };
  if (warps_[warp_].runnable == 0 || dice % 64 == 0) {
    warp_ = rotated(runnable_warps_, static_cast<unsigned>(dice >> 8));
  }
  Warp& warp = warps_[warp_];
  const unsigned lane = rotated(warp.runnable, static_cast<unsigned>(dice >> 16));
  warp.runnable &= ~(1U << lane);
  if (warp.runnable == 0) runnable_warps_ &= ~(1U << warp_);
  return lanes_[warp_ * kWarpSize + lane].get();
}

// Goes on with another lane, or, when none can run, with the caller of run().
void Block::park(Lane& lane) {
  Lane* next = pick();
  if (next == &lane) return;
  if (next == nullptr) {
    scheduler_.switch_from(lane.fiber_);
  } else {
    running_lane = next;
    next->fiber_.switch_from(lane.fiber_);
  }
}

// Makes the lanes of a warp that wait (all but the one that runs) able to run.
void Block::wake_warp(unsigned index) {
  Warp& warp = warps_[index];
  warp.arrived = 0;
  for (unsigned i = 0; i < kWarpSize; ++i) {
    Lane& lane = *lanes_[index * kWarpSize + i];
    if (lane.state_ != Lane::State::kInWarp && lane.state_ != Lane::State::kInBlock) continue;
    lane.state_ = Lane::State::kRunnable;
    warp.runnable |= 1U << i;
  }
  if (warp.runnable != 0) runnable_warps_ |= 1U << index;
}

void Block::fail(const Lane& lane, std::string what) {
  failure_ = name_of(lane) + " " + what;
  std::string().swap(what);  // This stack is never unwound.
  scheduler_.switch_from(const_cast<Lane&>(lane).fiber_);
  CHECK(false, "a block that failed ran again");
}

std::string Block::name_of(const Lane& lane) const {
  const Index3& at = shape_.block_index;
  return "block (" + std::to_string(at.x) + ", " + std::to_string(at.y) + ", " +
         std::to_string(at.z) + ") warp " + std::to_string(lane.index_ / kWarpSize) + " lane " +
         std::to_string(lane.index_ % kWarpSize);
}

// Names the first lane that waits, and the first that it waits for in vain.
std::string Block::deadlock() const {
  const unsigned threads = shape_.num_threads();
  for (unsigned i = 0; i < threads; ++i) {
    const Lane& lane = *lanes_[i];
    if (lane.state_ == Lane::State::kReturned) continue;
    const bool in_warp = lane.state_ == Lane::State::kInWarp;
    const unsigned begin = in_warp ? i / kWarpSize * kWarpSize : 0;
    const unsigned end = in_warp ? begin + kWarpSize : threads;
    for (unsigned j = begin; j < end; ++j) {
      const Lane& other = *lanes_[j];
      if (other.state_ == lane.state_) continue;
      return "deadlock: " + name_of(lane) + " waits in " + lane.waits_for_ + " for " +
             name_of(other) +
             (other.state_ == Lane::State::kReturned
                  ? ", which has returned"
                  : std::string(", which waits in ") + other.waits_for_);
    }
  }
  return "deadlock";
}

}  // namespace lockstep::emulator
