#include <cstddef>

#include "base/check.h"
#include "kernels/reference/primitives.h"
#include "kernels/reference/reference.h"

namespace lockstep::kernels::reference {
namespace {

// Stores one head's vector as codes of type Code and returns whether it is finite.
template <typename Code>
bool store_codes(const float* v, int head_size, int limit, Code* codes, float* scale) {
  const Scaling scaling = scaling_of(v, head_size, limit);
  if (!scaling.finite) return false;
  *scale = scaling.scale;
  for (int i = 0; i < head_size; ++i) codes[i] = static_cast<Code>(code_of(v[i], scaling));
  return true;
}

bool store(const float* v, const KvCacheView& cache, std::ptrdiff_t row, void* codes,
           float* scales) {
  const std::ptrdiff_t first = row * cache.head_size;
  if (cache.kv_bits == 16) {
    return store_codes(v, cache.head_size, 2047, static_cast<std::int16_t*>(codes) + first,
                       scales + row);
  }
  return store_codes(v, cache.head_size, 127, static_cast<std::int8_t*>(codes) + first,
                     scales + row);
}

}  // namespace

bool append_kv(const AppendKvArgs& args) {
  const KvCacheView& cache = args.cache;
  CHECK(cache.head_size > 0 && cache.head_size <= kMaxHeadSize, "head size out of range");
  for (int h = 0; h < cache.num_kv_heads; ++h) {
    const std::ptrdiff_t row =
        (static_cast<std::ptrdiff_t>(args.block) * cache.num_kv_heads + h) * kKvBlockTokens +
        args.slot;
    const std::ptrdiff_t offset = static_cast<std::ptrdiff_t>(h) * cache.head_size;
    float key[kMaxHeadSize];
    for (int i = 0; i < cache.head_size; ++i) key[i] = args.keys[offset + i];
    if (cache.kv_bits == 8) rotate(key, cache.head_size);
    if (!store(key, cache, row, cache.keys, cache.key_scales) ||
        !store(args.values + offset, cache, row, cache.values, cache.value_scales)) {
      return false;
    }
  }
  return true;
}

}  // namespace lockstep::kernels::reference
