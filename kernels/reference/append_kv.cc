#include <cstddef>
#include <cstdint>

#include "base/check.h"
#include "kernels/kv_layout.h"
#include "kernels/reference/primitives.h"
#include "kernels/reference/reference.h"

namespace lockstep::kernels::reference {
namespace {

// Stores one head's vector in the slot whose code of channel c is at index_of(c), and returns
// whether it is finite.
template <typename IndexOf>
bool store(const float* v, const KvCacheView& cache, void* block, float* scale, IndexOf index_of) {
  const Scaling scaling = scaling_of(v, cache.head_size, cache.kv_bits == 16 ? 2047 : 127);
  if (!scaling.finite) return false;
  *scale = scaling.scale;
  for (int i = 0; i < cache.head_size; ++i) {
    store_kv_code(block, cache.kv_bits, index_of(i), code_of(v[i], scaling));
  }
  return true;
}

}  // namespace

bool append_kv(const AppendKvArgs& args) {
  const KvCacheView& cache = args.cache;
  CHECK(cache.head_size > 0 && cache.head_size <= kMaxHeadSize, "head size out of range");
  const std::size_t block_bytes = kv_block_bytes(cache.head_size, cache.kv_bits);
  for (int h = 0; h < cache.num_kv_heads; ++h) {
    const std::size_t head_block =
        static_cast<std::size_t>(args.block) * static_cast<std::size_t>(cache.num_kv_heads) +
        static_cast<std::size_t>(h);
    const std::size_t row = head_block * kKvBlockTokens + static_cast<std::size_t>(args.slot);
    const std::ptrdiff_t offset = static_cast<std::ptrdiff_t>(h) * cache.head_size;
    float key[kMaxHeadSize];
    for (int i = 0; i < cache.head_size; ++i) key[i] = args.keys[offset + i];
    if (cache.kv_bits == 8) rotate(key, cache.head_size);
    if (!store(key, cache, static_cast<std::uint8_t*>(cache.keys) + head_block * block_bytes,
               cache.key_scales + row, [&](int i) { return key_code_index(args.slot, i); }) ||
        !store(args.values + offset, cache,
               static_cast<std::uint8_t*>(cache.values) + head_block * block_bytes,
               cache.value_scales + row,
               [&](int i) { return value_code_index(args.slot, i, cache.head_size); })) {
      return false;
    }
  }
  return true;
}

}  // namespace lockstep::kernels::reference
