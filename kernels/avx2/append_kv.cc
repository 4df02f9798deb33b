#include <cstddef>
#include <cstring>

#include "base/check.h"
#include "kernels/avx2/avx2.h"
#include "kernels/avx2/head_codes.h"
#include "kernels/avx2/vector.h"
#include "kernels/kv_layout.h"
#include "kernels/reference/reference.h"

namespace lockstep::kernels::avx2 {
namespace {

using Codes = std::int16_t[kMaxHeadSize];

// Two neighbouring channels of a key as one number, as they lie in the cache.
std::uint32_t channel_pair(const std::int16_t* codes) {
  std::uint32_t pair;
  std::memcpy(&pair, codes, sizeof pair);
  return pair;
}

void place_key(const Codes& codes, const KvCacheView& cache, int slot, std::uint8_t* block) {
  const int padded = padded_head_size(cache.head_size);
  if (cache.kv_bits == 8) {
    for (int d = 0; d < padded; ++d) {
      block[key_code_index(slot, d)] = static_cast<std::uint8_t>(codes[d]);
    }
    return;
  }
  for (int d = 0; d < padded; d += 8) {
    const int index = key_code_index(slot, d);
    const std::uint32_t fourth = channel_pair(codes + d + 6);
    for (int j = 0; j < 3; ++j) {
      const std::uint32_t upper = (channel_pair(codes + d + 2 * j) << 4) & 0xfff0fff0;
      const std::uint32_t words = upper | ((fourth >> 4 * j) & 0x000f000f);
      const int word = index / kPackedCodes * kPackedWords + 16 * j + index % 16;
      std::memcpy(block + 2 * word, &words, sizeof words);
    }
  }
}

void place_value(const Codes& codes, const KvCacheView& cache, int slot, std::uint8_t* block) {
  const int padded = padded_head_size(cache.head_size);
  if (cache.kv_bits == 8) {
    for (int d = 0; d < padded; ++d) {
      block[value_code_index(slot, d, cache.head_size)] = static_cast<std::uint8_t>(codes[d]);
    }
    return;
  }
  for (int d = 0; d < padded; d += 32) {
    const int first =
        value_code_index(slot, d, cache.head_size) / kPackedCodes * kPackedWords + slot % 2;
    for (int j = 0; j < 3; ++j) {
      for (int i = 0; i < 8; ++i) {
        const int upper = codes[d + 8 * j + i] * 16;
        const auto word = static_cast<std::int16_t>(upper | ((codes[d + 24 + i] >> 4 * j) & 15));
        std::memcpy(block + 2 * (first + 16 * j + 2 * i), &word, sizeof word);
      }
    }
  }
}

}  // namespace

bool append_kv(const AppendKvArgs& args) {
  const KvCacheView& cache = args.cache;
  if (cache.head_size % kHeadMultiple != 0) return reference::append_kv(args);
  CHECK(cache.head_size > 0 && cache.head_size <= kMaxHeadSize, "head size out of range");
  const auto block_bytes =
      static_cast<std::ptrdiff_t>(kv_block_bytes(cache.head_size, cache.kv_bits));
  for (int h = 0; h < cache.num_kv_heads; ++h) {
    const std::ptrdiff_t block = static_cast<std::ptrdiff_t>(args.block) * cache.num_kv_heads + h;
    const std::ptrdiff_t row = block * kKvBlockTokens + args.slot;
    const std::ptrdiff_t offset = static_cast<std::ptrdiff_t>(h) * cache.head_size;
    const HeadCodes key{args.keys + offset, cache.head_size, cache.kv_bits, true};
    const HeadCodes value{args.values + offset, cache.head_size, cache.kv_bits, false};
    Codes codes = {};
    if (!store_head(key, codes, cache.key_scales + row)) return false;
    place_key(codes, cache, args.slot,
              static_cast<std::uint8_t*>(cache.keys) + block * block_bytes);
    if (!store_head(value, codes, cache.value_scales + row)) return false;
    place_value(codes, cache, args.slot,
                static_cast<std::uint8_t*>(cache.values) + block * block_bytes);
  }
  return true;
}

}  // namespace lockstep::kernels::avx2
