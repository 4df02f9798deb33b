#include "kernels/cuda/emulator/grid.h"

#include <algorithm>
#include <atomic>
#include <memory>
#include <mutex>
#include <numeric>
#include <thread>
#include <utility>
#include <vector>

namespace lockstep::emulator {
namespace {

// The state of the one emulated device.
struct Device {
  std::mutex mutex;
  Options options;
  std::string failure;
  std::uint64_t num_launches = 0;
  std::vector<std::unique_ptr<Block>> idle_blocks;  // Their stacks are worth keeping.
};

Device& device() {
  static Device device;
  return device;
}

std::unique_ptr<Block> take_block() {
  const std::lock_guard lock(device().mutex);
  auto& idle = device().idle_blocks;
  if (idle.empty()) return std::make_unique<Block>();
  auto block = std::move(idle.back());
  idle.pop_back();
  return block;
}

void give_back(std::unique_ptr<Block> block) {
  const std::lock_guard lock(device().mutex);
  device().idle_blocks.push_back(std::move(block));
}

// The blocks of one launch, handed out in an order that the seed decides.
class Launch {
 public:
  Launch(const BlockShape& shape, void (*body)(const void*), const void* argument)
      : shape_(shape),
        body_(body),
        argument_(argument),
        count_(std::uint64_t{shape.grid.x} * shape.grid.y * shape.grid.z) {
    // A step that is coprime to the count visits every block once.
    stride_ = shape.seed % count_;
    while (std::gcd(stride_, count_) != 1) stride_ = stride_ + 1;
  }

  void work() {
    std::unique_ptr<Block> block = take_block();
    for (;;) {
      const std::uint64_t turn = next_.fetch_add(1);
      if (turn >= count_ || failed_.load()) break;
      const std::uint64_t index = (turn * stride_ + shape_.seed) % count_;
      BlockShape shape = shape_;
      shape.block_index = {static_cast<unsigned>(index % shape.grid.x),
                           static_cast<unsigned>(index / shape.grid.x % shape.grid.y),
                           static_cast<unsigned>(index / shape.grid.x / shape.grid.y)};
      shape.seed = shape_.seed + index * 0x2545F4914F6CDD1DU;
      std::string failure = block->run(shape, body_, argument_);
      if (failure.empty() || failed_.exchange(true)) continue;
      const std::lock_guard lock(device().mutex);
      device().failure = std::move(failure);
    }
    give_back(std::move(block));
  }

  bool failed() const { return failed_.load(); }
  std::uint64_t count() const { return count_; }

 private:
  const BlockShape shape_;
  void (*const body_)(const void*);
  const void* const argument_;
  const std::uint64_t count_;
  std::uint64_t stride_ = 1;
  std::atomic<std::uint64_t> next_{0};
  std::atomic<bool> failed_{false};
};

bool is_possible(const BlockShape& shape) {
  const unsigned threads = shape.num_threads();
  const auto in_range = [](unsigned extent, unsigned most) {
    return extent >= 1 && extent <= most;
  };
  return in_range(threads, kMaxBlockThreads) && threads % kWarpSize == 0 &&
         shape.shared_bytes <= kMaxSharedBytes && in_range(shape.grid.x, 0x7FFFFFFF) &&
         in_range(shape.grid.y, 65535) && in_range(shape.grid.z, 65535);
}

}  // namespace

void set_options(const Options& options) {
  const std::lock_guard lock(device().mutex);
  device().options = options;
  device().num_launches = 0;
}

LaunchResult run_grid(const BlockShape& wanted, void (*body)(const void*), const void* argument) {
  if (!is_possible(wanted)) return LaunchResult::kRefused;
  BlockShape shape = wanted;
  shape.shared_bytes = (shape.shared_bytes + 15) / 16 * 16;
  int threads = 1;
  {
    const std::lock_guard lock(device().mutex);
    threads = device().options.host_threads;
    shape.seed = device().options.seed * 0x9E3779B97F4A7C15U + ++device().num_launches;
  }
  Launch launch(shape, body, argument);
  std::vector<std::thread> others;
  const auto most = static_cast<std::uint64_t>(threads);
  for (std::uint64_t i = 1; i < std::min(most, launch.count()); ++i) {
    others.emplace_back([&launch] { launch.work(); });
  }
  launch.work();
  for (std::thread& thread : others) thread.join();
  return launch.failed() ? LaunchResult::kFailed : LaunchResult::kDone;
}

std::string take_failure() {
  const std::lock_guard lock(device().mutex);
  return std::exchange(device().failure, {});
}

}  // namespace lockstep::emulator
