#include "worker/kv_cache.h"

#include <algorithm>
#include <fstream>
#include <string>

#include "base/checked.h"
#include "kernels/kv_layout.h"

namespace lockstep {
namespace {

using kernels::kKvBlockTokens;

struct LayerBytes {
  std::uint64_t codes = 0;   // Of the keys; the values are as many.
  std::uint64_t scales = 0;  // Likewise.
};

LayerBytes layer_bytes(const KvCacheShape& shape) {
  const auto blocks =
      static_cast<std::uint64_t>(shape.num_blocks) * static_cast<std::uint64_t>(shape.num_kv_heads);
  return {blocks * kernels::kv_block_bytes(shape.head_size, shape.kv_bits),
          blocks * kKvBlockTokens * sizeof(float)};
}

}  // namespace

Result<std::uint64_t> KvCacheShape::bytes() const {
  // Blocks < 2^31, heads <= 4096, 16 slots, head size <= 512, 1.5 bytes: below 2^61 for one layer's
  // keys.
  const LayerBytes one = layer_bytes(*this);
  const auto all = checked_mul<std::uint64_t>(2 * (one.codes + one.scales),
                                              static_cast<std::uint64_t>(num_layers));
  if (!all || *all > static_cast<std::uint64_t>(INT64_MAX)) {
    return Error{ErrorCode::kExhausted, "the KV cache would not fit into 63 bits"};
  }
  return *all;
}

Result<KvCache> KvCache::allocate(const KvCacheShape& shape) {
  LOCKSTEP_TRY_ASSIGN(const std::uint64_t bytes, shape.bytes(), "allocate");
  KvCache cache;
  LOCKSTEP_TRY_ASSIGN(cache.memory_, HugeArena::allocate(bytes, HugeArena::Commit::kOnTouch),
                      "KV cache");
  const LayerBytes one = layer_bytes(shape);
  std::uint8_t* next = cache.memory_.bytes().data();
  const auto take = [&next](std::uint64_t count) {
    std::uint8_t* taken = next;
    next += count;
    return taken;
  };
  for (int i = 0; i < shape.num_layers; ++i) {
    kernels::KvCacheView view;
    view.keys = take(one.codes);
    view.values = take(one.codes);
    view.key_scales = reinterpret_cast<float*>(take(one.scales));
    view.value_scales = reinterpret_cast<float*>(take(one.scales));
    view.num_kv_heads = shape.num_kv_heads;
    view.head_size = shape.head_size;
    view.kv_bits = shape.kv_bits;
    cache.layers_.push_back(view);
  }
  return cache;
}

std::uint64_t available_memory_bytes() {
  std::uint64_t available = UINT64_MAX;
  std::ifstream meminfo("/proc/meminfo");
  for (std::string key, unit; meminfo >> key;) {
    std::uint64_t kib = 0;
    if (!(meminfo >> kib)) break;
    if (key == "MemAvailable:") available = kib * 1024;
    std::getline(meminfo, unit);
  }
  // A control group may allow less (version 2; "max" does not parse and means no limit).
  std::uint64_t limit = 0;
  std::uint64_t used = 0;
  if (std::ifstream("/sys/fs/cgroup/memory.max") >> limit &&
      std::ifstream("/sys/fs/cgroup/memory.current") >> used) {
    available = std::min(available, limit > used ? limit - used : 0);
  }
  return available;
}

}  // namespace lockstep
