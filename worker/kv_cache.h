// The keys and values of one rank: for every layer, KV blocks of 16 tokens for the key/value heads
// that the rank needs. Memory is reserved at once and touched as blocks are used.
#pragma once

#include <cstdint>
#include <vector>

#include "base/huge_arena.h"
#include "base/result.h"
#include "kernels/ops.h"

namespace lockstep {

struct KvCacheShape {
  int num_layers = 0;
  int num_blocks = 0;
  int num_kv_heads = 0;
  int head_size = 0;
  int kv_bits = 16;

  // Bytes of the whole cache of one rank; nothing when they overflow 63 bits.
  Result<std::uint64_t> bytes() const;
};

class KvCache {
 public:
  // kExhausted, with the sizes, when the memory cannot be had.
  static Result<KvCache> allocate(const KvCacheShape& shape);

  kernels::KvCacheView layer(int index) const { return layers_[static_cast<std::size_t>(index)]; }

 private:
  HugeArena memory_;
  std::vector<kernels::KvCacheView> layers_;
};

// Bytes of memory that this machine (or its control group) can still give. Read from the operating
// system.
std::uint64_t available_memory_bytes();

}  // namespace lockstep
