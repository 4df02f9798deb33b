#include <cstddef>

#include "base/check.h"
#include "kernels/avx2/avx2.h"
#include "kernels/avx2/head_codes.h"
#include "kernels/reference/reference.h"

namespace lockstep::kernels::avx2 {
namespace {

bool store(const HeadCodes& from, std::ptrdiff_t row, void* codes, float* scales) {
  const std::ptrdiff_t first = row * from.head_size;
  return from.kv_bits == 16
             ? store_head(from, static_cast<std::int16_t*>(codes) + first, scales + row)
             : store_head(from, static_cast<std::int8_t*>(codes) + first, scales + row);
}

}  // namespace

bool append_kv(const AppendKvArgs& args) {
  const KvCacheView& cache = args.cache;
  if (cache.head_size % kHeadMultiple != 0) return reference::append_kv(args);
  CHECK(cache.head_size > 0 && cache.head_size <= kMaxHeadSize, "head size out of range");
  for (int h = 0; h < cache.num_kv_heads; ++h) {
    const std::ptrdiff_t row =
        (static_cast<std::ptrdiff_t>(args.block) * cache.num_kv_heads + h) * kKvBlockTokens +
        args.slot;
    const std::ptrdiff_t offset = static_cast<std::ptrdiff_t>(h) * cache.head_size;
    const HeadCodes key{args.keys + offset, cache.head_size, cache.kv_bits, true};
    const HeadCodes value{args.values + offset, cache.head_size, cache.kv_bits, false};
    if (!store(key, row, cache.keys, cache.key_scales) ||
        !store(value, row, cache.values, cache.value_scales)) {
      return false;
    }
  }
  return true;
}

}  // namespace lockstep::kernels::avx2
